import { z } from 'zod';

/** What people and programs may be. A principal may hold several; none by default. */
export const role = z.enum(['viewer', 'operator', 'scheduler', 'auditor', 'administrator']);
export type Role = z.infer<typeof role>;
