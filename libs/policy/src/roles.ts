import { z } from 'zod';

/** What people and programs may be. A principal may hold several; none by default. */
export const role = z.enum(['viewer', 'operator', 'scheduler', 'auditor', 'key-custodian', 'administrator']);
export type Role = z.infer<typeof role>;
