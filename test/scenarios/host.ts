/**
 * The host of one CSP as the state search sees it: a fence register and whether the VM runs. The rules are those that the
 * agent keeps (protocol, section 8); a command may be executed at any time after it was issued, and again.
 */
export type Register = 'none' | 'mine' | 'surrendered' | 'never';

export type Host = {
  readonly epoch: number;
  readonly register: Register;
  readonly runs: boolean;
  /** This epoch was given up by its source: a late stop or surrender of it does nothing any more. */
  readonly resumed: boolean;
};

export type HostCommand =
  | { readonly type: 'stop' | 'surrender' | 'start' | 'never'; readonly epoch: number }
  /** `reopens`: carries the target's `MigrationRelinquished`, which alone reopens *surrendered*. */
  | { readonly type: 'resume'; readonly epoch: number; readonly reopens: boolean };

export type Execute = (host: Host, command: HostCommand) => Host;

/** Unchanged when the host refuses, or when there is nothing left to do. */
export const execute: Execute = (host, command) => {
  const { epoch } = command;
  if (epoch < host.epoch) return host;
  const known = epoch === host.epoch;
  switch (command.type) {
    case 'stop':
      return known ? host : { epoch, register: 'mine', runs: false, resumed: false };
    case 'surrender':
      return known && host.register === 'mine' && !host.runs && !host.resumed ? { ...host, register: 'surrendered' } : host;
    case 'resume':
      // Also when the stop never came: the register is raised, so that it finds its epoch given up.
      if (!known) return { epoch, register: 'mine', runs: host.runs, resumed: true };
      if (host.register === 'surrendered' && !command.reopens) return host;
      return host.register === 'never' ? host : { epoch, register: 'mine', runs: true, resumed: true };
    case 'start':
      return known && (host.register !== 'mine' || host.resumed) ? host : { epoch, register: 'mine', runs: true, resumed: false };
    case 'never':
      return known ? host : { epoch, register: 'never', runs: host.runs, resumed: false };
  }
};

export const hostKey = (host: Host): string => `${host.epoch}${host.register}${host.runs ? '+' : '-'}${host.resumed ? 'r' : ''}`;

export const commandKey = (command: HostCommand): string =>
  `${command.type}${command.epoch}${command.type === 'resume' && command.reopens ? '!' : ''}`;
