/** Why a development daemon could not be brought up or down. */
export type DevErrorCode =
  | 'TOOL_MISSING'
  | 'USER_MISSING'
  | 'NOT_READY'
  | 'STILL_RUNNING'
  | 'COMMAND_FAILED'
  | 'PATH_TOO_LONG'
  | 'NAME_INVALID'
  | 'RELOAD_REFUSED'
  | 'PORT_NONE';

export class DevError extends Error {
  readonly code: DevErrorCode;

  constructor(code: DevErrorCode, message: string, options?: ErrorOptions) {
    super(`${code}: ${message}`, options);
    this.name = 'DevError';
    this.code = code;
  }
}
