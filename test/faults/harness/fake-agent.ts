import { join } from 'node:path';
import { createHostAgent, nodeFiles } from '@carnet/hypervisor';
import { openImageStore } from '@carnet/images';
import { createHostKeyPair } from '@carnet/keys';
import { openLeaf, tlsOf } from '@carnet/pki';
import { createLog, loadConfig } from '@carnet/runtime';
import { openArtifacts } from '../../../apps/agent/src/artifacts.ts';
import { brokerKeys } from '../../../apps/agent/src/broker-keys.ts';
import { connectBus, serveBus } from '../../../apps/agent/src/bus.ts';
import { systemClock } from '../../../apps/agent/src/clock.ts';
import { agentConfig } from '../../../apps/agent/src/config.ts';
import { evidenceSigner } from '../../../apps/agent/src/evidence.ts';
import { helloFacts, prepareFolders } from '../../../apps/agent/src/host.ts';
import { pathsOf } from '../../../apps/agent/src/paths.ts';
import { permitsOnDisk } from '../../../apps/agent/src/run-permits.ts';
import { secretOpener } from '../../../apps/agent/src/secrets.ts';
import { tendAgentLeaf } from '../../../apps/agent/src/tend-leaf.ts';
import { crlTaker, openAgentTrust } from '../../../apps/agent/src/trust.ts';
import { diskHypervisor } from './disk-hypervisor.ts';
import { diskVolumes } from './disk-volumes.ts';
import { heldArtifacts } from './held.ts';
import { lyingArtifacts, lyingVolumes } from './rogue.ts';

/**
 * The agent app with its hypervisor and its volumes faked, as a process of its own so that `kill -9` is real. Everything else
 * is the app's: bus, signatures, secrets, fence register and step log on disk, and the data path over TLS.
 */
const config = loadConfig(process.argv[2] ?? '', agentConfig, {});
const { directories } = config;
const log = createLog('agent', config.log.level);
const now = () => systemClock.now();
const store = openAgentTrust(config, Date.now);
const leaf = openLeaf(config.identity, Date.now);
const tls = tlsOf(leaf, store, now);
const paths = pathsOf(config);
const broker = brokerKeys(config.trust.brokerCertificateFile, config.domain, store, now);
await prepareFolders(config, log);
const transport = await createHostKeyPair();
const imageStore = await openImageStore({ dir: directories.images, now });
if (!imageStore.ok) throw new Error(imageStore.code);
const artifacts = await openArtifacts({
  identity: leaf,
  store,
  now,
  imageStore: imageStore.value,
  dataPath: config.dataPath,
  sharesDir: join(directories.state, 'shares'),
  log,
});
const agent = createHostAgent({
  domain: config.domain,
  host: config.host,
  stepsAtOnce: config.stepsAtOnce,
  hello: helloFacts(leaf, transport.publicKey),
  ports: {
    hypervisor: diskHypervisor(join(directories.state, 'fake'), nodeFiles),
    volumes: lyingVolumes(diskVolumes(nodeFiles), directories.state),
    artifacts: heldArtifacts(lyingArtifacts(artifacts, directories.state), directories.state),
    files: nodeFiles,
    paths,
    permits: permitsOnDisk({ self: config, files: nodeFiles, paths, broker, store }),
    openSecret: secretOpener(transport.privateKey),
    signEvidence: evidenceSigner(leaf.current),
    // Pretended guests need no memory: room for every VM of a test.
    memoryMiBFree: async () => 1_048_576,
    limits: config.limits,
    clock: systemClock,
    log,
  },
});
const bus = await connectBus(config, tls);
const service = serveBus({
  bus,
  agent,
  host: config.host,
  keys: broker.keys,
  leaf,
  learnChain: broker.learn,
  takeCrl: crlTaker(config, { keys: broker.keys, trust: store }, log),
  log,
});
tendAgentLeaf(config, leaf, tls, service, log);
log.info({}, 'fake agent ready');
