import type { IncomingMessage } from 'node:http';
import { normaliseHost } from '../host.ts';

/** How a request reached the gateway. */
type Via = 'proxy' | 'transparent' | 'tunnel' | 'terminated';

/** What is known of a connection before its first request. */
export interface Arrival {
  readonly via: Via;
  readonly port: number;
  /** The one host that the connection may speak to: of its CONNECT, or of its TLS hello. */
  readonly host?: string;
}

export type Target =
  | { readonly ok: true; readonly host: string; readonly port: number; readonly path: string }
  | { readonly ok: false; readonly host: string; readonly port: number; readonly fault: string };

/**
 * Says where a request wants to go. One name only: the request line, the Host header, the CONNECT and the TLS hello have to agree
 * wherever there are several of them.
 */
export function targetOf(request: IncomingMessage, arrival: Arrival): Target {
  const hosts = valuesOf(request, 'host');
  const line = request.url ?? '';
  const authority = splitAuthority(hosts[0] ?? '');
  const refuse = (
    fault: string,
    host = authority?.host ?? hosts[0] ?? arrival.host ?? '',
    port = authority?.port ?? (arrival.via === 'proxy' ? usualPorts['http:'] : arrival.port),
  ): Target => ({ ok: false, host, port, fault });
  if (hosts.length > 1) return refuse('the request has several Host headers');
  if (arrival.via === 'proxy') {
    const url = URL.parse(line);
    const host = url === null || url.hostname === '' ? undefined : url.hostname;
    const port = url === null || host === undefined ? undefined : portOf(url);
    if (url?.protocol !== 'http:')
      return refuse('a proxy takes http:// addresses, and CONNECT for everything else', host, port);
    if (url.username !== '' || url.password !== '')
      return refuse('the address holds a user name or password', host, port);
    const path = line.replace(/^[^:]+:\/\/[^/?#]*/, '') || '/';
    const named = {
      ok: true,
      host: url.hostname,
      port: portOf(url),
      path: path.startsWith('/') ? path : `/${path}`,
    } as const;
    if (hosts[0] === undefined) return named;
    if (authority === undefined || !sameHost(authority.host, url.hostname) || (authority.port ?? 80) !== named.port)
      return refuse('its Host header names another host than its request line', host, port);
    return named;
  }
  if (!line.startsWith('/')) return refuse('its request line is not a path');
  if (authority === undefined) return refuse('its Host header is absent or malformed');
  const host = arrival.host ?? authority.host;
  if (!sameHost(host, authority.host)) return refuse('its Host header names another host than the connection', host);
  const usual = arrival.via === 'terminated' ? 443 : 80;
  if ((authority.port ?? (arrival.port === usual ? usual : arrival.port)) !== arrival.port)
    return refuse('its Host header names another port than the connection', host);
  return { ok: true, host, port: arrival.port, path: line };
}

const usualPorts = { 'http:': 80, 'https:': 443 } as const;

function portOf({ protocol, port }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? usualPorts[protocol] : usualPorts['http:'];
}

/** Reads `host:port` of a CONNECT or a Host header. */
export function splitAuthority(text: string): { readonly host: string; readonly port?: number } | undefined {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@[\]\\]+)(?::(\d{1,5}))?$/.exec(text);
  if (match?.[1] === undefined) return undefined;
  if (match[2] === undefined) return { host: match[1] };
  const port = Number(match[2]);
  return port >= 1 && port <= 65_535 ? { host: match[1], port } : undefined;
}

export function sameHost(one: string, other: string): boolean {
  const [a, b] = [normaliseHost(one), normaliseHost(other)];
  return a.kind !== 'invalid' && b.kind !== 'invalid' && a.name === b.name;
}

export function valuesOf(message: IncomingMessage, name: string): readonly string[] {
  const raw = message.rawHeaders;
  return raw.filter((_, index) => index % 2 === 1 && raw[index - 1]?.toLowerCase() === name);
}
