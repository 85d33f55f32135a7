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
const addRule = 'have a rule for it added to the egress policy (network.rules) of the task';

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
  return deny('default-deny', what, reason, addRule);
}

/** Decides whether a task may know a name: whether any rule names it, whatever the port. */
export function decideName(network: NetworkSpec, name: string): EgressDecision {
  const host = normaliseHost(name);
  const what = shownHost(name);
  if (network.mode !== 'policy') return deny('no-network', what, 'the task has no network', addRule);
  if (host.kind !== 'name') return deny('default-deny', what, 'it is no host name', addRule);
  const rule = isOpen(host) ? network.rules.find((one) => namesHost(one, host)) : undefined;
  if (rule === undefined) return deny('default-deny', what, 'no rule names the host', addRule);
  return { allowed: true, rule: rule.name, explanation: `The rule ${rule.name} names ${what}.` };
}

/** Decides about the address that an allowed name leads to: an open one, or one that a rule names itself. */
export function decideAddress(network: NetworkSpec, request: EgressRequest, address: string): EgressDecision {
  const host = normaliseHost(address);
  if (host.kind === 'address' && isOpen(host)) {
    return { allowed: true, rule: 'public-address', explanation: `${address} is a public address.` };
  }
  const named = decide(network, { host: address, port: request.port });
  if (named.allowed) return named;
  const what = shownTarget(request);
  const reason = `it leads to ${shownHost(address)}, in a private or reserved network`;
  return deny('private-address', what, reason, 'have a rule added that names this very address');
}

/** True when the gateway ends TLS for the host, to see requests and to inject headers. */
export function terminates(network: NetworkSpec, request: EgressRequest): boolean {
  return rulesFor(network, request).some((rule) => rule.terminate === true);
}

/** True when a rule names host and port, whatever else it says: requests have to be seen to decide about them. */
export function namesTarget(network: NetworkSpec, request: EgressRequest): boolean {
  const host = normaliseHost(request.host);
  const rules = rulesFor(network, request);
  return (
    host.kind !== 'invalid' && (isOpen(host) ? rules : rules.filter((one) => !one.host.startsWith('*.'))).length > 0
  );
}

/** The rule by which a request is allowed, whole. */
export function allowingRule(network: NetworkSpec, request: EgressRequest): EgressRule | undefined {
  return rulesFor(network, request).find((rule) => objection(rule, request) === undefined);
}

function rulesFor(network: NetworkSpec, request: EgressRequest): readonly EgressRule[] {
  const host = normaliseHost(request.host);
  if (network.mode !== 'policy' || host.kind === 'invalid') return [];
  return network.rules.filter(
    (rule) => namesHost(rule, host) && (rule.ports.length === 0 ? defaultPorts : rule.ports).includes(request.port),
  );
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
    if (request.method === undefined) return 'is for plain HTTP and terminated hosts only, because it names methods';
    if (!rule.methods.includes(request.method)) return `allows only the methods ${rule.methods.join(', ')}`;
  }
  if (rule.pathPrefixes.length > 0) {
    if (request.path === undefined)
      return 'is for plain HTTP and terminated hosts only, because it names path prefixes';
    const path = normalisePath(request.path);
    if (path === undefined) return 'cannot be applied to a path that servers read in different ways';
    if (!rule.pathPrefixes.some((prefix) => isBelow(path, prefix))) {
      return `allows only paths below ${rule.pathPrefixes.join(', ')}`;
    }
  }
  return undefined;
}

/** A denial, in the one form that all have: what, why, and the legal way to ask. */
export function deny(rule: string, what: string, reason: string, ask: string): EgressDecision {
  return { allowed: false, rule, explanation: `Denied by ${rule}: ${what}, because ${reason}. To get it, ${ask}.` };
}

export function shownTarget({ host, port }: EgressRequest): string {
  return `${shownHost(host)}:${port}`;
}

/** What is shown and logged of a host: no user name or password before it, nothing after it, no controls. */
export function shownHost(host: string): string {
  const [authority = ''] = host.slice(host.lastIndexOf('@') + 1).split(/[/?#\\]/, 1);
  const clean = printable(authority).replace(/\s+/g, ' ');
  return clean.length > longestShown ? `${clean.slice(0, longestShown)}…` : clean;
}
