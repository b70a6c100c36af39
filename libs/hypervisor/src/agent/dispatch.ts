import { unreachable } from '@carnet/events';
import type { HostCommand } from '../command/command.ts';
import { preflight, reserve, trialUnlock } from '../steps/agreement.ts';
import { createVm } from '../steps/create-vm.ts';
import { seal, serve, surrender } from '../steps/hand-over.ts';
import { listImages, registerImage, verifyImage } from '../steps/images.ts';
import { deleteVm, inspect, provideSecrets, startVm, stopVm } from '../steps/life.ts';
import { observe } from '../steps/observe.ts';
import { quiesce } from '../steps/quiesce.ts';
import { receive } from '../steps/receive.ts';
import { reencrypt } from '../steps/reencrypt.ts';
import { rekey } from '../steps/rekey.ts';
import { start } from '../steps/start.ts';
import type { StepContext, StepEnd } from '../steps/step.ts';
import { resume, retire } from '../steps/undo-source.ts';
import { destroy, forswear } from '../steps/undo-target.ts';

/** Each command to the one function that performs it. */
export function dispatch(command: HostCommand, context: StepContext): Promise<StepEnd> {
  switch (command.step) {
    case 'listImages':
      return listImages(command, context);
    case 'registerImage':
      return registerImage(command, context);
    case 'verifyImage':
      return verifyImage(command, context);
    case 'inspect':
      return inspect(command, context);
    case 'createVm':
      return createVm(command, context);
    case 'startVm':
      return startVm(command, context);
    case 'stopVm':
      return stopVm(command, context);
    case 'deleteVm':
      return deleteVm(command, context);
    case 'provideSecrets':
      return provideSecrets(command, context);
    case 'preflight':
      return preflight(command, context);
    case 'reserve':
      return reserve(command, context);
    case 'trialUnlock':
      return trialUnlock(command, context);
    case 'quiesce':
      return quiesce(command, context);
    case 'seal':
      return seal(command, context);
    case 'serve':
      return serve(command, context);
    case 'surrender':
      return surrender(command, context);
    case 'resume':
      return resume(command, context);
    case 'retire':
      return retire(command, context);
    case 'receive':
      return receive(command, context);
    case 'rekey':
      return rekey(command, context);
    case 'start':
      return start(command, context);
    case 'reencrypt':
      return reencrypt(command, context);
    case 'observe':
      return observe(command, context);
    case 'forswear':
      return forswear(command, context);
    case 'destroy':
      return destroy(command, context);
    default:
      return unreachable(command);
  }
}
