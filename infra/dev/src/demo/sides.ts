import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Answer, type BrokerClient, connectBroker } from '@carnet/publisher';
import type { Csp } from '../clouds/csp.ts';
import type { Federation } from '../clouds/federation.ts';
import type { Screen } from './screen.ts';

/** What the demo reads of the broker's answers; the API's OpenAPI document is the contract. */
export type MigrationAnswer = {
  readonly migration: string;
  readonly phase: string;
  readonly outcome: string;
  readonly ended: boolean;
  readonly reasons: readonly { readonly code: string; readonly text: string }[];
  readonly transferredBytes?: number;
  readonly custody: readonly { readonly at: string; readonly domains: readonly string[] }[];
  readonly lastFailure?: { readonly command: string; readonly code: string; readonly text: string };
};
export type EntryAnswer = {
  readonly cursor: string;
  readonly type: string;
  readonly publisher: string;
  readonly state: string;
  readonly time: string;
  readonly migration?: string;
  readonly digest: string;
};

/** One cloud as its own operator sees it. */
export type Side = { readonly key: Csp['plan']['key']; readonly csp: Csp; readonly broker: BrokerClient };

export function connectSide(csp: Csp): Side {
  const file = csp.context('operator');
  const pem = (name: string): string => readFileSync(resolve(dirname(file), 'pki', name), 'utf8');
  const credentials = { kind: 'certificate', certificate: pem('operator.pem'), key: pem('operator.key') } as const;
  return {
    key: csp.plan.key,
    csp,
    broker: connectBroker({
      url: `https://127.0.0.1:${csp.ports.http}`,
      serverName: `broker.${csp.plan.domain}`,
      ca: pem('root.pem'),
      credentials,
    }),
  };
}

export function unwrapped<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value;
  throw new Error(
    `${answer.code}: ${answer.text}${(answer.reasons ?? []).map((reason) => `\n  ${reason.code}: ${reason.text}`).join('')}`,
  );
}

/** Draws every event as its own publisher's broker has it, until stopped. */
export function drawEvents(federation: Federation, sides: readonly Side[], screen: Screen): () => void {
  const stopping = new AbortController();
  for (const { broker, csp, key } of sides) {
    const draw = async (): Promise<void> => {
      for await (const entry of broker.follow<EntryAnswer>('', stopping.signal)) {
        if (entry.publisher === csp.plan.domain && entry.migration !== undefined) screen.lane(key, entry.type);
      }
    };
    draw().catch((cause: unknown) => {
      if (!stopping.signal.aborted)
        screen.line(`events of ${csp.plan.domain} are no longer shown: ${String(cause)} (${federation.root})`);
    });
  }
  return () => stopping.abort();
}
