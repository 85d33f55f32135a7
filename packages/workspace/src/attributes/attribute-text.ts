/** Extended attributes of a file by name; names and values are bytes, as Latin-1. */
export type Attributes = ReadonlyMap<string, string>;

// What neither separates attributes from each other nor lines and fields of a manifest.
const plain = /^[A-Za-z0-9._-]+$/;
const kept = /^(?:user\..+|system\.posix_acl_(?:access|default)|security\.capability)$/su;

/** Whether an attribute is part of a tree; `attributes.c` says the same. */
export function isKeptAttribute(name: string): boolean {
  return kept.test(name);
}

/** The one text of attributes, as it stands in a manifest; empty for none. */
export function encodeAttributes(attributes: Attributes): string {
  const sorted = [...attributes].sort(([one], [other]) => (one < other ? -1 : 1));
  return sorted.map(([name, value]) => `${escaped(name)}=${Buffer.from(value, 'latin1').toString('base64')}`).join(';');
}

/** @throws Error when the text is none of `encodeAttributes` */
export function decodeAttributes(text: string): Attributes {
  if (text === '') return new Map();
  return new Map(
    text.split(';').map((one) => {
      const equals = one.indexOf('=');
      if (equals < 1) throw new Error('Not the attributes of a file');
      return [decodeName(one.slice(0, equals)), Buffer.from(one.slice(equals + 1), 'base64').toString('latin1')];
    }),
  );
}

function escaped(name: string): string {
  if (plain.test(name)) return name;
  return name.replaceAll(/[^A-Za-z0-9._-]/gsu, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function decodeName(text: string): string {
  return text.replaceAll(/%([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
