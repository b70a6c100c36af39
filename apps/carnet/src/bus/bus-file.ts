import { hostName, trustDomain } from '@carnet/events';
import { z } from 'zod';

export const path = z.string().startsWith('/');
export const hostPort = z.string().regex(/^[^\s"\\]+:\d{1,5}$/);
/** SHA-256 (hex) of a public key. */
export const keyPin = z.string().regex(/^[0-9a-f]{64}$/);

/** What the operator of the bus keeps about it: who is a member, and which nats-server is told. */
export const busFile = z.strictObject({
  /** Trust domain of the bus itself. */
  domain: trustDomain,
  /** host:port */
  listen: hostPort,
  server: z.strictObject({
    /** nats-server's configuration, written here. */
    configFile: path,
    /** Who is told to read it again. */
    pidFile: path,
    /** JetStream's files. */
    directory: path,
    certificateFile: path,
    keyFile: path,
    /** host:port where servers of the members' own call (`carnet bus leaf`). Absent: nowhere. */
    leaves: hostPort.optional(),
    /** This server is one of several; the others have a file of their own. Absent: it is alone. */
    cluster: z
      .strictObject({
        node: z.string().regex(/^[a-zA-Z0-9._-]{1,64}$/),
        listen: hostPort,
        routes: z.array(hostPort).min(1).max(16),
        /** SHA-256 (hex) of the public key of each server: only they are let in as servers. */
        keyPins: z.array(keyPin).min(1).max(16),
      })
      .optional(),
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
  /** Servers of the cluster that keep each stream; absent: new streams are kept by one, and what there is stays as it is. */
  replicas: z.union([z.literal(1), z.literal(3), z.literal(5)]).optional(),
  /** Which CSPs exchange ledgers; absent: each with each. */
  pairs: z.array(z.tuple([trustDomain, trustDomain])).optional(),
});
export type BusFile = z.infer<typeof busFile>;
