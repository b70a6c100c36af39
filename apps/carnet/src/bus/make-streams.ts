import { readFileSync } from 'node:fs';
import { ensureStreams } from '@carnet/journal';
import type { BusFile } from './bus-file.ts';

/** How the bus's operator reaches its server: his certificate names `spiffe://<bus domain>/operator`. Files are PEM. */
export interface OperatorAddress {
  readonly server: string;
  readonly serverName: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** The ledgers of every pair in the file, with their readers; what there is stays as it is. @throws what the server or a file refuses */
export const makeStreams = (
  { members, pairs, replicas, trust }: BusFile,
  { server, serverName, certificateFile, keyFile }: OperatorAddress,
): Promise<void> =>
  ensureStreams(
    {
      servers: [server],
      serverName,
      name: 'carnet bus streams',
      tls: {
        cert: readFileSync(certificateFile, 'utf8'),
        key: readFileSync(keyFile, 'utf8'),
        ca: readFileSync(trust.rootFile, 'utf8'),
      },
    },
    { members, ...(pairs === undefined ? {} : { pairs }), ...(replicas === undefined ? {} : { replicas }) },
  );
