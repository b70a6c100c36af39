import { hostName, trustDomain } from '@carnet/events';
import { z } from 'zod';

const path = z.string().startsWith('/');

/** What the operator of the bus keeps about it: who is a member, and which nats-server is told. */
export const busFile = z.strictObject({
  /** Trust domain of the bus itself. */
  domain: trustDomain,
  /** host:port */
  listen: z.string().regex(/^[^\s"\\]+:\d{1,5}$/),
  server: z.strictObject({
    /** nats-server's configuration, written here. */
    configFile: path,
    /** Who is told to read it again. */
    pidFile: path,
    /** JetStream's files. */
    directory: path,
    certificateFile: path,
    keyFile: path,
  }),
  trust: z.strictObject({
    rootFile: path,
    crlDirectory: path,
    /** Highest CRL numbers seen; this tool writes it. */
    marksFile: path,
  }),
  members: z
    .array(
      z.strictObject({
        domain: trustDomain,
        hosts: z.array(hostName).max(1_000),
        /** PEM: the broker's leaf and intermediate, as the member showed them. */
        certificateFile: path,
      }),
    )
    .min(1)
    .max(256),
  /** Which CSPs exchange ledgers; absent: each with each. */
  pairs: z.array(z.tuple([trustDomain, trustDomain])).optional(),
});
export type BusFile = z.infer<typeof busFile>;
