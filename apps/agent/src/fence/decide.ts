import {
  domainMark,
  HOST_CODES,
  type HookFacts,
  type HookQuestion,
  judgeHook,
  lookUpDomain,
  nodeFiles,
  refused,
  type Setback,
} from '@carnet/hypervisor';
import { loadConfig } from '@carnet/runtime';
import { systemClock } from '../clock.ts';
import { type AgentConfig, agentConfig } from '../config.ts';
import { pathsOf } from '../paths.ts';

/** Looks at this host's own files, and says what the hook would: at `question`, for the domain of that XML. */
export async function judgeDomain(
  configFile: string,
  question: HookQuestion,
  xml: string,
): Promise<{ readonly facts: HookFacts | undefined; readonly refusal: Setback | undefined }> {
  const mark = domainMark(xml);
  const config = configIn(configFile);
  if (config === undefined) {
    // Where the store is, is unknown: then only the mark tells who is one of us.
    const isUnknown = mark.marked && question === 'start';
    return { facts: undefined, refusal: isUnknown ? refused('FENCE_UNREADABLE', `(${configFile} does not load)`) : undefined };
  }
  const facts = await lookUpDomain(
    {
      self: config,
      files: nodeFiles,
      paths: pathsOf(config),
      clock: systemClock,
      openPermit: async (file) => {
        // Certificates take a fifth of a second to be understood: only a federated VM that may start needs it.
        const { judgePermitFile } = await import('./judge-permit.ts');
        return judgePermitFile(file, config);
      },
    },
    mark,
  );
  return { facts, refusal: judgeHook(question, facts) };
}

/** The environment of libvirtd is not the agent's: only the file counts here. */
function configIn(file: string): AgentConfig | undefined {
  try {
    return loadConfig(file, agentConfig, {});
  } catch {
    return undefined;
  }
}

/** What libvirt and the person who asked it get to read: what, why, what to do, and the code. */
export function refusalText(name: string, { code, text }: Setback): string {
  return `carnet: ${name} must not run on this host. ${text} ${HOST_CODES[code].advice} (${code})\n`;
}
