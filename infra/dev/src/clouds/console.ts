import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, startDaemon } from '../daemon.ts';
import { nodeEnv } from '../node-env.ts';
import { privateFile } from '../scratch.ts';
import type { StagedCode } from '../stage-code.ts';
import { repositoryRoot } from '../tools.ts';
import { consoleConfigText } from './config-text.ts';
import type { Csp } from './csp.ts';

/** Builds the console's pages unless they are there. Before the code is staged: what is built later is not in the copy. */
export function buildConsolePages(): void {
  if (existsSync(join(repositoryRoot, 'apps', 'console', 'dist', 'index.html'))) return;
  execFileSync('npm', ['run', 'build', '-w', 'apps/console'], { cwd: repositoryRoot, stdio: 'ignore' });
}

export type ConsoleApp = { readonly daemon: Daemon /** With this start's access token. */; readonly url: string };

/** One CSP's console, under that CSP's own user and as its auditor: it reads only. */
export async function startConsole({ plan, paths, ports, as }: Csp, code: StagedCode): Promise<ConsoleApp> {
  privateFile(paths.consoleConfig, consoleConfigText({ plan, paths, ports }), as);
  const daemon = await startDaemon({
    name: `console of ${plan.domain}`,
    as,
    command: [code.node, join(code.root, 'apps', 'console', 'src', 'main.ts'), '--config', paths.consoleConfig],
    env: nodeEnv(as),
    cwd: '/',
    logFile: paths.consoleLog,
    stopSignal: 'SIGTERM',
    ready: () => printedUrl(paths.consoleLog) !== undefined,
  });
  return { daemon, url: printedUrl(paths.consoleLog) ?? '' };
}

/** The line that it prints when it listens. */
const printedUrl = (logFile: string): string | undefined =>
  existsSync(logFile) ? /^http:\/\/\S+$/m.exec(readFileSync(logFile, 'utf8'))?.[0] : undefined;
