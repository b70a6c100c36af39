import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Entry } from './scripted-ledgers.ts';

/** What the stand-in answers: path → JSON. */
export type Answers = Readonly<Record<string, unknown>>;

export interface ScriptedBroker {
  readonly url: string;
  /** What a follower hears next, after all that it has heard. */
  readonly publish: (entry: Entry) => void;
  readonly answer: (answers: Answers) => void;
  readonly requests: readonly string[];
  readonly stop: () => Promise<void>;
}

/**
 * Stands in for a broker: its TLS, its API's form, its stream. `pki`: the directory of `createFederationPki`. Everything it
 * answers is set from outside, so that a test says what an operator should see.
 */
export async function startScriptedBroker(
  pki: string,
  domain: string,
  answers: Answers,
  entries: readonly Entry[],
  port = 0,
): Promise<ScriptedBroker> {
  const own = join(pki, domain);
  const requests: string[] = [];
  const followers = new Set<ServerResponse>();
  const said = [...entries];
  let table = answers;
  const tell = (to: ServerResponse, entry: Entry): void =>
    void to.write(`id: ${entry.cursor}\nevent: ledger-entry\ndata: ${JSON.stringify(entry)}\n\n`);
  const follow = (request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const entry of said.slice(said.findIndex((e) => e.cursor === request.headers['last-event-id']) + 1))
      tell(response, entry);
    followers.add(response);
    response.on('close', () => followers.delete(response));
  };
  const server = createServer(
    {
      key: readFileSync(join(own, 'broker.key')),
      cert: readFileSync(join(own, 'broker.pem')),
      ca: [readFileSync(join(pki, 'root.pem')), readFileSync(join(own, 'ca.pem'))],
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    (request, response) => {
      const path = request.url ?? '/';
      requests.push(`${request.method} ${path}`);
      if (path === '/v1/follow') return follow(request, response);
      const known = table[path];
      response.writeHead(known === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(known ?? { code: 'MIGRATION_UNKNOWN', text: `nothing is known of ${path}` }));
      return undefined;
    },
  );
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    publish: (entry) => {
      said.push(entry);
      for (const follower of followers) tell(follower, entry);
    },
    answer: (changed) => {
      table = { ...table, ...changed };
    },
    requests,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
