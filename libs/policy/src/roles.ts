import { z } from 'zod';

/** What people and programs may be. A principal may hold several; none by default. */
export const role = z.enum(['viewer', 'operator', 'scheduler', 'custodian', 'auditor', 'key-custodian', 'administrator']);
export type Role = z.infer<typeof role>;

/** Who asks for moves must not be who can recover keys. */
export const ASKING: readonly Role[] = ['operator', 'scheduler'];
export const RECOVERING: Role = 'custodian';
