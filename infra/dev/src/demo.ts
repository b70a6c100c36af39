import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildConsolePages, type ConsoleApp, startConsole } from './clouds/console.ts';
import { type Federation, startFederation } from './clouds/federation.ts';
import { type ActReport, failAfterArrival, move } from './demo/acts.ts';
import { type AuditReport, audit } from './demo/audit.ts';
import { createMachine, registerImage, tamperWithImage } from './demo/machine.ts';
import { type DemoOptions, readOptions } from './demo/options.ts';
import { createScreen, type Screen } from './demo/screen.ts';
import { connectSide, drawEvents, type Side, unwrapped } from './demo/sides.ts';
import { opensslVerify } from './demo/witnesses.ts';
import { findLeftovers } from './leftovers.ts';
import { stopEverything } from './registry.ts';

type Report = {
  readonly seconds: number;
  readonly setUpSeconds: number;
  readonly migrations: readonly ActReport[];
  readonly audit: AuditReport;
  readonly passed: boolean;
};

async function play(screen: Screen, federation: Federation, setUpSeconds: number): Promise<Report> {
  const startMs = Date.now();
  const [a, b] = [connectSide(federation.a), connectSide(federation.b)];
  screen.heading('Who is who: certificates, judged by OpenSSL');
  for (const { csp } of [a, b])
    screen.witness('openssl verify -x509_strict -crl_check_all', opensslVerify(federation, csp.plan.domain, 'broker'));
  await hostsUp([a, b]);
  const image = await registerImage(screen, a);
  const machine = await createMachine(screen, federation.guest, a, image.name);
  const tampered = tamperWithImage(screen, a, image.name);
  const stopDrawing = drawEvents(federation, [a, b], screen);
  const acts: ActReport[] = [];
  screen.heading(
    `1  cold: ${a.csp.plan.domain} → ${b.csp.plan.domain}. The guest is stopped, its disk and its key move, it boots there`,
  );
  acts.push(await move(screen, a, b, machine, 'cold'));
  screen.heading(
    `2  suspend: ${b.csp.plan.domain} → ${a.csp.plan.domain}. Its memory travels too, sealed under a key that serves once`,
  );
  acts.push(await move(screen, b, a, machine, 'suspend'));
  screen.heading(`3  failure: ${a.csp.plan.domain} → ${b.csp.plan.domain}, and B's disk spoils the image after it has arrived`);
  acts.push(await failAfterArrival(screen, a, b, machine));
  stopDrawing();
  screen.heading('4  the audit of all ledgers of both sides');
  const audited = audit(federation, screen);
  const claims = [...image.claims, ...machine.claims, ...tampered, ...acts.flatMap((act) => act.claims)];
  const passed = claims.every((claim) => claim.holds) && audited.divergence === undefined;
  a.broker.close();
  b.broker.close();
  return { seconds: (Date.now() - startMs) / 1_000, setUpSeconds, migrations: acts, audit: audited, passed };
}

/** Agents introduce themselves when they have found their broker; a person would simply wait. */
async function hostsUp(sides: readonly Side[]): Promise<void> {
  for (const { broker, csp } of sides) {
    for (let tries = 0; ; tries++) {
      const hosts = unwrapped(await broker.get<{ readonly items: readonly { readonly state: string }[] }>('/v1/hosts')).items;
      if (hosts.some((host) => host.state === 'up')) break;
      if (tries > 300) throw new Error(`no host of ${csp.plan.domain} is up; see ${csp.paths.agentLog}`);
      await sleep(100);
    }
  }
}

function summarise(screen: Screen, report: Report): void {
  screen.heading('Summary');
  for (const act of report.migrations) {
    const guest =
      act.guest.before.boot === act.guest.after.boot
        ? `same boot, n ${act.guest.before.n} → ${act.guest.after.n}`
        : 'booted anew, disk as it was';
    screen.line(
      `${act.name.padEnd(22)} ${act.from} → ${act.to}  ${act.outcome.padEnd(11)} ${act.events} events, ${act.bytesSent} bytes, stopped ${act.stopMs} ms; ${guest}`,
    );
  }
  screen.line(`audit: ${report.audit.verdict}`);
  screen.line(`${report.seconds.toFixed(1)} s after ${report.setUpSeconds.toFixed(1)} s to start both clouds`);
  screen.verdict(report.passed ? 'holds' : 'fails', report.passed ? 'everything held' : 'something did not hold: see above');
}

function explainKeeping({ root, a, b }: Federation, consoles: readonly ConsoleApp[]): string {
  const cli = 'npx carnet --context';
  return `
Both clouds go on running; Ctrl-C stops them and removes everything. In another terminal, here:

  ${cli} ${a.context('operator')} image list
  ${cli} ${a.context('operator')} vm list
  ${cli} ${a.context('operator')} migration list
  ${cli} ${b.context('auditor')} event follow
  npx carnet-audit verify --context ${a.context('auditor')} --context ${b.context('auditor')} --crls ${root}/pki/crls

In a browser on this machine, one cloud each, as its auditor sees it:

  ${consoles.map(({ url }) => url).join('\n  ')}

Their files are under ${root}; only root and each cloud's own Unix user can read them.
`;
}

async function main(options: DemoOptions): Promise<number> {
  const startMs = Date.now();
  const screen = createScreen(startMs, () => Date.now());
  screen.heading('Two clouds on this machine, and a bus between them that neither trusts');
  if (options.keep) buildConsolePages();
  const federation = await startFederation({ onStep: screen.line });
  const report = await play(screen, federation, (Date.now() - startMs) / 1_000);
  summarise(screen, report);
  if (options.report !== undefined) writeFileSync(resolve(options.report), `${JSON.stringify(report, undefined, 2)}\n`);
  if (options.keep) {
    const consoles = await Promise.all([federation.a, federation.b].map((csp) => startConsole(csp, federation.code)));
    process.stdout.write(explainKeeping(federation, consoles));
    await new Promise(() => setInterval(() => undefined, 60_000));
  }
  await federation.stop();
  await stopEverything();
  const left = findLeftovers({ dir: federation.root });
  for (const { kind, what } of left) screen.verdict('fails', `left behind: ${kind} ${what}`);
  if (left.length === 0) screen.verdict('holds', 'nothing is left behind: no process, no domain, no file');
  return report.passed && left.length === 0 ? 0 : 1;
}

const options = readOptions(process.argv.slice(2));
if ('text' in options) {
  process.stdout.write(options.text);
  process.exit(options.exitCode);
}
// The registry ends everything on a signal; here it is only said, and what breaks while it does so is no failure of the demo.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    process.stdout.write('\ninterrupted: stopping both clouds and removing everything\n');
  });
}
try {
  process.exitCode = await main(options);
} catch (cause) {
  if (interrupted) await new Promise(() => undefined);
  process.stderr.write(`\nthe demo failed: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}\n`);
  await stopEverything();
  process.exitCode = 1;
}
process.exit();
