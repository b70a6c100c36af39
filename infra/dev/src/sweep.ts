// What the janitor runs when the process it served has died.
import { sweepAbandoned } from './abandoned.ts';

sweepAbandoned();
