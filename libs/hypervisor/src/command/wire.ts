import type { HostCommand } from './command.ts';
import type { HostReport } from './report.ts';

/** Payload bytes of a command and a report: UTF-8 JSON as built. What was signed is what is parsed; nobody re-serialises to verify. */
export const commandBytes = (command: HostCommand): Uint8Array => Buffer.from(JSON.stringify(command));
export const reportBytes = (report: HostReport): Uint8Array => Buffer.from(JSON.stringify(report));

/** Core NATS subjects inside the CSP's own account: broker → agent (request/reply), agent → broker. */
export const commandSubject = (host: string): string => `host.${host}.command`;
export const reportSubject = (host: string): string => `host.${host}.report`;
/** Broker → agent, empty: a broker that has just started knows no host, and asks for a hello before the next one is due. */
export const hailSubject = (host: string): string => `host.${host}.hail`;
/** Broker → agent: the broker's own certificate chain as `{"chain": [base64 DER, leaf first]}`; it proves itself. */
export const chainSubject = (host: string): string => `host.${host}.chain`;
/** Broker → agent: one CRL, signed by the broker. Hosts keep the list with the higher number. */
export const crlSubject = (host: string): string => `host.${host}.crl`;
