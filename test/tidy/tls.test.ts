import { describe, expect, it } from 'vitest';
import { files, isTest } from './tree.ts';

const text = files(/\.(ts|tsx|mjs|js|json|md|toml|ya?ml|sh|py|service|conf)$|^\.ci\/run$|^\.npmrc$/).filter(
  ({ path }) => path !== 'package-lock.json' && !path.startsWith('test/tidy/'),
);
const code = files(/^(libs|apps|infra)\/.*\.(ts|tsx|mjs)$/).filter(({ path }) => !isTest(path) && !path.includes('/testing/'));

/** Every way that we know to switch verification off, or to speak an older TLS. */
const OFF: Readonly<Record<string, RegExp>> = {
  'chains are not demanded': /rejectUnauthorized['"]?\s*[:=](?!\s*true\b)/,
  'chains are not demanded, for the whole process': /NODE_TLS_REJECT|--tls-min-v1\.[0-2]|--insecure-http/,
  'names are not compared':
    /checkServerIdentity['"]?\s*[:=]\s*(async\s*)?\(?[\w\s,]*\)?\s*=>\s*(undefined|null|void 0|\{\s*\}|\(\s*\))/,
  'clients are not asked': /requestCert['"]?\s*[:=]\s*false|verify_and_map['"]?\s*[:=]\s*false/,
  'an older TLS': /(min|max)Version['"]?\s*[:=]\s*['"]TLSv1(\.[0-2])?['"]|secureProtocol|min_version['"]?\s*[:=]\s*"?1\.[0-2]/,
  'a tool told to look away': /\bcurl\b.*\s(-k|-\w*k\w*|--insecure)(\s|$)|--no-check-certificate|strict-?ssl\s*[:=]\s*false/i,
  'Python told to look away': /verify\s*=\s*False|_create_unverified_context|CERT_NONE|check_hostname\s*=\s*False/,
};
const faultOf = (line: string): string | undefined => Object.entries(OFF).find(([, pattern]) => pattern.test(line))?.[0];

/** Who shows that the older TLS is refused must speak it. */
const MAY_BE_OLD = new Set(['libs/pki/src/tls.test.ts', 'test/attacks/old-tls.ts']);

describe('verification is never off', () => {
  it.each([
    'rejectUnauthorized: false,',
    'rejectUnauthorized: options.strict,',
    "'rejectUnauthorized' : 0",
    'NODE_TLS_REJECT_UNAUTHORIZED=0',
    'checkServerIdentity: () => undefined,',
    'checkServerIdentity: (_, certificate) => null',
    'checkServerIdentity: () => {},',
    'requestCert: false',
    'verify_and_map: false',
    "minVersion: 'TLSv1.2',",
    "maxVersion: 'TLSv1'",
    "secureProtocol: 'TLSv1_2_method'",
    'min_version: "1.2"',
    'curl -k https://127.0.0.1',
    'curl -sk https://127.0.0.1',
    'curl --insecure https://127.0.0.1',
    'strict-ssl=false',
    'context.check_hostname = False',
  ])('sees that something is off in: %s', (line) => {
    expect(faultOf(line)).toBeDefined();
  });

  it.each([
    'rejectUnauthorized: true,',
    "minVersion: 'TLSv1.3',",
    'min_version: "1.3"',
    'checkServerIdentity: (_, certificate) => tls.checkServerIdentity(serverName, certificate),',
    'readonly checkServerIdentity?: (hostname: string, certificate: PeerCertificate) => Error | undefined;',
    'curl --cacert root.pem --cert me.pem --key me.key https://127.0.0.1/kinds',
  ])('sees nothing in: %s', (line) => {
    expect(faultOf(line)).toBeUndefined();
  });

  it('nowhere in the tree, tests and pages included', () => {
    const found = text.flatMap(({ path, lines }) =>
      lines.flatMap((line, i) => {
        const fault = faultOf(line);
        return fault === undefined || (MAY_BE_OLD.has(path) && fault === 'an older TLS')
          ? []
          : [`${path}:${i + 1}: ${fault}: ${line.trim()}`];
      }),
    );
    expect(text.length).toBeGreaterThan(400);
    expect(found).toEqual([]);
  });

  /** Where options come from that say TLS 1.3 and mutual themselves. */
  const RULES = /serverTlsOptions|clientTlsOptions|TLS_RULES|minVersion: 'TLSv1\.3'/;

  it('whoever opens TLS says that it is 1.3, or takes its options from where that is said', () => {
    const opens = code.filter(({ text: source }) =>
      /import \{[^}]*\b(connect|createServer|request|Agent)\b[^}]*\} from '(node:tls|node:https|nats)'/.test(source),
    );
    expect(opens.length).toBeGreaterThan(3);
    const silent = opens.filter(({ text: source }) => !RULES.test(source)).map(({ path }) => path);
    expect(silent).toEqual([]);
  });
});
