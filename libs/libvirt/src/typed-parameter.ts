import { LibvirtError } from './error.ts';
import { PARAMETERS_MAX } from './limits.ts';
import type { XdrReader } from './xdr-reader.ts';
import type { XdrWriter } from './xdr-writer.ts';

/** virTypedParameter: a named value that carries its type. A field may occur more than once. */
export type TypedParameter = { readonly field: string } & (
  | { readonly type: 'int' | 'uint' | 'double'; readonly value: number }
  | { readonly type: 'llong' | 'ullong'; readonly value: bigint }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
);

/** virTypedParameterType. */
const TYPE = { int: 1, uint: 2, llong: 3, ullong: 4, double: 5, boolean: 6, string: 7 } as const;

export function writeParameters(writer: XdrWriter, parameters: readonly TypedParameter[]): XdrWriter {
  return writer.list(parameters, PARAMETERS_MAX, writeParameter);
}

export function readParameters(reader: XdrReader): readonly TypedParameter[] {
  return reader.list(PARAMETERS_MAX, readParameter);
}

/** The value of a field that occurs once, e.g. `data_total` in job statistics. */
export function parameterValue(parameters: readonly TypedParameter[], field: string): TypedParameter['value'] | undefined {
  return parameters.find((parameter) => parameter.field === field)?.value;
}

function writeParameter(writer: XdrWriter, parameter: TypedParameter): XdrWriter {
  writer.string(parameter.field).int(TYPE[parameter.type]);
  switch (parameter.type) {
    case 'int':
      return writer.int(parameter.value);
    case 'uint':
      return writer.uint(parameter.value);
    case 'llong':
      return writer.hyper(parameter.value);
    case 'ullong':
      return writer.uhyper(parameter.value);
    case 'double':
      return writer.double(parameter.value);
    case 'boolean':
      return writer.int(parameter.value ? 1 : 0);
    case 'string':
      return writer.string(parameter.value);
    default:
      return unreachable(parameter);
  }
}

function readParameter(reader: XdrReader): TypedParameter {
  const field = reader.string();
  const type = reader.int();
  switch (type) {
    case TYPE.int:
      return { field, type: 'int', value: reader.int() };
    case TYPE.uint:
      return { field, type: 'uint', value: reader.uint() };
    case TYPE.llong:
      return { field, type: 'llong', value: reader.hyper() };
    case TYPE.ullong:
      return { field, type: 'ullong', value: reader.uhyper() };
    case TYPE.double:
      return { field, type: 'double', value: reader.double() };
    case TYPE.boolean:
      return { field, type: 'boolean', value: reader.bool() };
    case TYPE.string:
      return { field, type: 'string', value: reader.string() };
    default:
      // Its size is unknown, so nothing behind it can be read either.
      throw new LibvirtError('PROTOCOL_VIOLATION', `parameter ${field} of unknown type ${type}`, { effect: 'unknown' });
  }
}

function unreachable(value: never): never {
  throw new LibvirtError('ARGUMENT_INVALID', `unforeseen parameter ${String(value)}`);
}
