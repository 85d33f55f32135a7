/** Why a line is no message of JSON-RPC, as it is answered. */
export interface Unreadable {
  /** The message's own `id`, when it has one that can be answered. */
  readonly id: string | number | null;
  readonly code: -32_700 | -32_600;
  readonly message: string;
}

/**
 * Looks at one line of input before the SDK does, which leaves what it cannot read without an answer: whoever sent it would wait
 * for good. Undefined when the line is a message, or blank, which nobody waits for.
 */
export function unreadable(line: Uint8Array): Unreadable | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8').trim();
  if (text === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { id: null, code: -32_700, message: 'The line is not JSON. Send one JSON-RPC message a line, in UTF-8.' };
  }
  const fault = faultOf(value);
  return fault === undefined ? undefined : { id: idOf(value), code: -32_600, message: fault };
}

function faultOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return 'Batches are not read. Send each message on a line of its own.';
  if (!isObject(value)) return 'A JSON-RPC message is an object.';
  if (value['jsonrpc'] !== '2.0') return 'A message has "jsonrpc": "2.0".';
  const { id, method, params } = value;
  if ('id' in value && !isId(id)) return 'An id is a string or a whole number.';
  if (method === undefined) return 'result' in value || 'error' in value ? undefined : 'A request has a method.';
  if (typeof method !== 'string') return 'A method is a string.';
  return params === undefined || isObject(params) ? undefined : 'Params are an object, with a name for each value.';
}

function idOf(value: unknown): string | number | null {
  const id = isObject(value) ? value['id'] : null;
  return isId(id) ? id : null;
}

function isId(id: unknown): id is string | number {
  return typeof id === 'string' || Number.isInteger(id);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
