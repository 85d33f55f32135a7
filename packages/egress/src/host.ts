import { isIP, isIPv6 } from 'node:net';
import { type Address, parseAddress } from './address.ts';

/** A host in the one form in which hosts are compared. */
export type Host =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'address'; readonly name: string; readonly address: Address }
  | { readonly kind: 'invalid'; readonly reason: string };

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const longestName = 253;

/**
 * Brings a host into its normal form: lower case, punycode (UTS 46), no trailing dot; addresses in dotted decimal or
 * compressed IPv6, whatever form they came in (decimal, hexadecimal, octal, short, IPv4 mapped into IPv6). This is how the
 * WHATWG URL parser reads hosts, so what is compared here is what a client would connect to.
 */
export function normaliseHost(text: string): Host {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (isIPv6(bare) && !bare.includes('%')) return addressHost(urlHost(`[${bare}]`) ?? '');
  if (/[\s\u0000-\u0020\u007f/\\@?#%:[\]]/u.test(text)) return invalid('it holds characters that no host has');
  const name = urlHost(text)?.replace(/\.$/, '');
  if (name === undefined || name === '') return invalid('it is no host name');
  if (isIP(name) !== 0) return addressHost(name);
  if (name.length > longestName) return invalid(`it has more than ${longestName} characters`);
  if (!name.split('.').every((part) => label.test(part))) return invalid('it has an empty or malformed label');
  return { kind: 'name', name };
}

function urlHost(host: string): string | undefined {
  return URL.parse(`http://${host}`)?.hostname;
}

function addressHost(text: string): Host {
  const address = parseAddress(text.replace(/^\[|\]$/g, ''));
  return address === undefined ? invalid('it is no address') : { kind: 'address', name: address.text, address };
}

function invalid(reason: string): Host {
  return { kind: 'invalid', reason };
}
