import {
  type EgressDecision,
  type EgressRequest,
  type EgressRule,
  type NetworkSpec,
  printable,
} from '@opencode-tools/core';
import { isPublicAddress } from './address.ts';
import { type Host, normaliseHost } from './host.ts';
import { isBelow, normalisePath } from './path.ts';

type KnownHost = Exclude<Host, { readonly kind: 'invalid' }>;

const defaultPorts: readonly number[] = [443];
const longestShown = 120;

/** Names that mean this host or its cloud's metadata service whatever a name server says. */
const closedNames = ['localhost', 'metadata.google.internal', 'metadata.goog', 'instance-data'];

/**
 * Decides whether a task may open a connection. Pure. Denies whatever no rule names, and addresses of private, loopback,
 * link-local and metadata networks unless a rule names the very address.
 *
 * A rule with methods or path prefixes speaks of plain HTTP only: it never matches a request whose method and path are unknown.
 */
export function decide(network: NetworkSpec, request: EgressRequest): EgressDecision {
  const what = shownTarget(request);
  if (network.mode !== 'policy') {
    return deny(
      'no-network',
      what,
      'the task has no network',
      'create the task with network mode "policy" and a rule for the host',
    );
  }
  const host = normaliseHost(request.host);
  const ask = 'have a rule for it added to the egress policy (network.rules) of the task';
  if (host.kind === 'invalid')
    return deny('default-deny', what, `the host is not valid: ${host.reason}`, 'name a valid host');
  const named = network.rules.filter((rule) => namesHost(rule, host));
  const exact = named.filter((rule) => !rule.host.startsWith('*.'));
  if (!isOpen(host) && exact.length === 0) {
    return deny(
      'private-address',
      what,
      'it is in a private or reserved network',
      'have a rule added that names this very address',
    );
  }
  const candidates = isOpen(host) ? named : exact;
  const allowing = candidates.find((rule) => objection(rule, request) === undefined);
  if (allowing !== undefined) {
    return { allowed: true, rule: allowing.name, explanation: `The rule ${allowing.name} allows ${what}.` };
  }
  const [nearest] = candidates;
  const reason =
    nearest === undefined ? 'no rule names the host' : `the rule ${nearest.name} ${objection(nearest, request)}`;
  return deny('default-deny', what, reason, ask);
}

function namesHost(rule: EgressRule, host: KnownHost): boolean {
  if (!rule.host.startsWith('*.')) {
    const named = normaliseHost(rule.host);
    return named.kind === host.kind && named.name === host.name;
  }
  const parent = normaliseHost(rule.host.slice(2));
  return host.kind === 'name' && parent.kind === 'name' && host.name.endsWith(`.${parent.name}`);
}

function isOpen(host: KnownHost): boolean {
  if (host.kind === 'address') return isPublicAddress(host.address);
  return !closedNames.includes(host.name) && !host.name.endsWith('.localhost');
}

/** Says why a rule that names the host does not admit the request; undefined when it does. */
function objection(rule: EgressRule, request: EgressRequest): string | undefined {
  const ports = rule.ports.length === 0 ? defaultPorts : rule.ports;
  if (!ports.includes(request.port)) return `allows only port ${ports.join(', ')}`;
  if (rule.methods.length > 0) {
    if (request.method === undefined) return 'is for plain HTTP only, because it names methods';
    if (!rule.methods.includes(request.method)) return `allows only the methods ${rule.methods.join(', ')}`;
  }
  if (rule.pathPrefixes.length > 0) {
    if (request.path === undefined) return 'is for plain HTTP only, because it names path prefixes';
    const path = normalisePath(request.path);
    if (path === undefined) return 'cannot be applied to a path that servers read in different ways';
    if (!rule.pathPrefixes.some((prefix) => isBelow(path, prefix))) {
      return `allows only paths below ${rule.pathPrefixes.join(', ')}`;
    }
  }
  return undefined;
}

function deny(rule: string, what: string, reason: string, ask: string): EgressDecision {
  return { allowed: false, rule, explanation: `Denied by ${rule}: ${what}, because ${reason}. To get it, ${ask}.` };
}

function shownTarget({ host, port }: EgressRequest): string {
  return `${shownHost(host)}:${port}`;
}

/** What is shown and logged of a host: no user name or password before it, nothing after it, no controls. */
export function shownHost(host: string): string {
  const [authority = ''] = host.slice(host.lastIndexOf('@') + 1).split(/[/?#\\]/, 1);
  const clean = printable(authority).replace(/\s+/g, ' ');
  return clean.length > longestShown ? `${clean.slice(0, longestShown)}…` : clean;
}
