// Loaded first (`node --import`) by a process whose histories shall have fast signatures. The libs know nothing of it: three of their files, and one
// of Kysely's, are resolved to other ones, in this process alone.
import { registerHooks } from 'node:module';

const REPLACED: ReadonlyMap<string, string> = new Map([
  ['/libs/trust/src/primitives-node.ts', './primitives.ts'],
  ['/libs/pki/src/rsa-pss.ts', './rsa-pss.ts'],
  ['/libs/policy/src/engine.ts', './engine.ts'],
  ['/node_modules/kysely/dist/util/object-utils.js', './object-utils.ts'],
]);
const HERE = new URL('.', import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context);
    if (context.parentURL?.startsWith(HERE) === true) return found;
    for (const [real, fast] of REPLACED)
      if (found.url.endsWith(real)) return { ...found, url: new URL(fast, HERE).href, format: 'module-typescript' };
    return found;
  },
});
