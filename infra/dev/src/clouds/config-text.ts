import { join } from 'node:path';
import { BUS_DOMAIN, BUS_SERVER_NAME, type CspPaths, type CspPlan, HOST } from './layout.ts';

export type CspPorts = { readonly http: number; readonly tokens: number; readonly ops: number; readonly dataPath: number };

export type ConfigFacts = {
  readonly plan: CspPlan;
  readonly peer: CspPlan;
  readonly paths: CspPaths;
  readonly ports: CspPorts;
  readonly busUrl: string;
  /** Whose server is at that address. Absent: the federation's. */
  readonly bus?: { readonly domain: string; readonly serverName: string };
  readonly databaseUrl: string;
  readonly libvirtSocket: string;
  readonly swtpm: string;
  /** Absent: libvirtd runs without a hooks folder of its own. */
  readonly hooks?: string;
  readonly tmpfs: string;
  readonly rollbackWindowSeconds: number;
  readonly logLevel: 'debug' | 'info';
  /** Its `[keys]`, where it is not a sealed file of its own. */
  readonly keysText?: string;
};

const quote = (text: string): string => JSON.stringify(text);
const table = (name: string, entries: Readonly<Record<string, string | number>>): string =>
  [
    `[${name}]`,
    ...Object.entries(entries).map(([key, value]) => `${key} = ${typeof value === 'number' ? value : quote(value)}`),
    '',
  ].join('\n');

/** The broker's configuration, as a reader would write it by hand. */
export function brokerConfigText(facts: ConfigFacts): string {
  const { plan, peer, paths, ports } = facts;
  return [
    `domain = ${quote(plan.domain)}`,
    `stateDirectory = ${quote(paths.brokerState)}`,
    '',
    table('database', { url: facts.databaseUrl }),
    table('identity', {
      certificateFile: join(paths.pki, 'broker.pem'),
      keyFile: join(paths.pki, 'broker.key'),
      eventKeyFile: paths.eventKey,
    }),
    table('trust', { rootFile: join(paths.pki, 'root.pem'), crlDirectory: paths.crls }),
    table('bus', { url: facts.busUrl, domain: BUS_DOMAIN, serverName: BUS_SERVER_NAME, ...facts.bus }),
    // Both clouds live on this machine: their agents meet on loopback, which a broker dials only when it is told to.
    `${table('[peers]', { domain: peer.domain })}dataPaths = ["127.0.0.0/8"]\n`,
    facts.keysText ?? table('keys', { rootFile: paths.keyRoot, passphraseFile: paths.passphrase }),
    table('[hosts]', { name: HOST }),
    table('http', { port: ports.http }),
    table('tokens', { port: ports.tokens }),
    table('ops', { port: ports.ops }),
    table('policy', { directory: paths.policy }),
    table('migration', {
      rollbackWindowSeconds: facts.rollbackWindowSeconds,
      offerSeconds: 60,
      deadlineSeconds: 600,
      graceSeconds: 1,
    }),
    table('log', { level: facts.logLevel }),
  ].join('\n');
}

export function agentConfigText(facts: ConfigFacts): string {
  const { plan, paths, ports } = facts;
  return [
    `domain = ${quote(plan.domain)}`,
    `host = ${quote(HOST)}`,
    '',
    table('identity', { certificateFile: join(paths.pki, `agent-${HOST}.pem`), keyFile: join(paths.pki, `agent-${HOST}.key`) }),
    table('trust', {
      rootFile: join(paths.pki, 'root.pem'),
      crlDirectory: paths.crls,
      brokerCertificateFile: join(paths.pki, 'broker.pem'),
    }),
    table('bus', { url: facts.busUrl, domain: BUS_DOMAIN, serverName: BUS_SERVER_NAME, ...facts.bus }),
    table('directories', {
      state: paths.agentState,
      volumes: paths.volumes,
      tmpfs: facts.tmpfs,
      images: paths.images,
      imports: paths.imports,
      boot: paths.boot,
    }),
    table('libvirt', {
      socket: facts.libvirtSocket,
      swtpm: facts.swtpm,
      ...(facts.hooks === undefined ? {} : { hooks: facts.hooks }),
    }),
    table('dataPath', { address: '127.0.0.1', port: ports.dataPath, serverName: `${HOST}.${plan.domain}` }),
    table('log', { level: facts.logLevel }),
  ].join('\n');
}

/** The console reads as this CSP's auditor; it takes a free port of its own. */
export const consoleConfigText = ({ plan, paths, ports }: Pick<ConfigFacts, 'plan' | 'paths' | 'ports'>): string =>
  [
    table('listen', { port: 0 }),
    table('broker', {
      url: `https://127.0.0.1:${ports.http}`,
      serverName: `broker.${plan.domain}`,
      rootFile: join(paths.pki, 'root.pem'),
      certificateFile: join(paths.pki, 'auditor.pem'),
      keyFile: join(paths.pki, 'auditor.key'),
    }),
  ].join('\n');

/** What `carnet --context` reads; `who` is a leaf of this CSP. */
export const contextText = ({ plan, paths, ports }: Pick<ConfigFacts, 'plan' | 'paths' | 'ports'>, who: string): string =>
  [
    `url = ${quote(`https://127.0.0.1:${ports.http}`)}`,
    `serverName = ${quote(`broker.${plan.domain}`)}`,
    `rootFile = ${quote(join(paths.pki, 'root.pem'))}`,
    `certificateFile = ${quote(join(paths.pki, `${who}.pem`))}`,
    `keyFile = ${quote(join(paths.pki, `${who}.key`))}`,
    '',
  ].join('\n');
