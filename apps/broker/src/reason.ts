import { type Reason, reason } from '@carnet/events';

/** Control characters of a host's text must not reach a ledger: the schema would refuse it. */
const printable = (text: string): string =>
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, ' ').slice(0, 500);
export const reasonOf = (code: string, text: string): Reason => reason.parse({ code, text: printable(text) });
