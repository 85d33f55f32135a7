import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A place where an engine may listen. */
export interface Endpoint {
  /** Such as `unix:///var/run/docker.sock` or `tcp://host:2376`. */
  readonly url: string;
  /** Where it was named. */
  readonly origin: string;
  /** Directory of `ca.pem`, `cert.pem` and `key.pem`. */
  readonly certificates?: string;
  /** Why nothing can be asked there, and what to do. */
  readonly fault?: { readonly message: string; readonly remedy: string };
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Lists the endpoints to ask, in order. One that was named for this very process (`endpoint`, `DOCKER_HOST`,
 * `DOCKER_CONTEXT`) stands alone: another engine would hold other sandboxes.
 */
export function findEndpoints(environment: Environment, endpoint?: string): readonly Endpoint[] {
  return named(environment, endpoint).map(withFault);
}

function named(environment: Environment, endpoint: string | undefined): readonly Endpoint[] {
  if (endpoint) return [withCertificates({ url: endpoint, origin: 'configuration' }, environment)];
  if (environment.DOCKER_HOST) {
    return [withCertificates({ url: normalised(environment.DOCKER_HOST), origin: 'DOCKER_HOST' }, environment)];
  }
  const context = environment.DOCKER_CONTEXT;
  if (context && context !== 'default') return [contextEndpoint(environment, context) ?? noContext(context)];
  const current = context ? undefined : currentContext(environment);
  const fromContext = current ? contextEndpoint(environment, current) : undefined;
  return unique([...(fromContext ? [fromContext] : []), ...wellKnown(environment)]);
}

function noContext(name: string): Endpoint {
  const remedy = 'Set DOCKER_CONTEXT to one that `docker context ls` lists, or unset it.';
  return { url: '', origin: `DOCKER_CONTEXT ${name}`, fault: { message: 'there is no such context', remedy } };
}

function withFault(endpoint: Endpoint): Endpoint {
  const { url, fault } = endpoint;
  if (fault !== undefined || /^(?:unix|npipe):\/\/./.test(url)) return endpoint;
  const { protocol, hostname } = URL.canParse(url) ? new URL(url) : { protocol: '', hostname: '' };
  if (protocol === 'ssh:') return { ...endpoint, fault: overSsh(url) };
  if (['tcp:', 'http:', 'https:'].includes(protocol) && hostname !== '') return endpoint;
  const remedy = 'Give the address of an engine as unix:///path or tcp://host:port.';
  return { ...endpoint, fault: { message: 'it is no address of an engine', remedy } };
}

function overSsh(url: string): NonNullable<Endpoint['fault']> {
  const host = url.slice('ssh://'.length).replace(/\/.*$/, '');
  return {
    message: 'addresses with ssh:// are not supported',
    remedy: `Bring its socket here (ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock ${host}), and set DOCKER_HOST=unix:///tmp/docker.sock.`,
  };
}

function wellKnown({ XDG_RUNTIME_DIR: runtime, HOME: home }: Environment): readonly Endpoint[] {
  const sockets: [path: string | undefined, origin: string][] = [
    [runtime && join(runtime, 'docker.sock'), 'rootless Docker'],
    ['/var/run/docker.sock', 'default socket'],
    [home && join(home, '.docker/run/docker.sock'), 'Docker Desktop'],
    [home && join(home, '.docker/desktop/docker.sock'), 'Docker Desktop'],
    [home && join(home, '.colima/default/docker.sock'), 'Colima'],
    [home && join(home, '.colima/docker.sock'), 'Colima'],
    [runtime && join(runtime, 'podman/podman.sock'), 'Podman, rootless'],
    ['/run/podman/podman.sock', 'Podman'],
  ];
  return sockets.flatMap(([path, origin]) => (path ? [{ url: `unix://${path}`, origin }] : []));
}

function unique(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.filter((one, index) => endpoints.findIndex((other) => other.url === one.url) === index);
}

function normalised(host: string): string {
  return host.includes('://') ? host : `tcp://${host}`;
}

function withCertificates(endpoint: Endpoint, environment: Environment): Endpoint {
  if (!endpoint.url.startsWith('tcp://')) return endpoint;
  const secure = environment.DOCKER_TLS_VERIFY === '1' || endpoint.url.endsWith(':2376');
  const directory = environment.DOCKER_CERT_PATH ?? configDirectory(environment);
  return secure && directory ? { ...endpoint, certificates: directory } : endpoint;
}

function configDirectory(environment: Environment): string | undefined {
  return environment.DOCKER_CONFIG ?? (environment.HOME && join(environment.HOME, '.docker'));
}

function currentContext(environment: Environment): string | undefined {
  const directory = configDirectory(environment);
  const config = directory ? readJson(join(directory, 'config.json')) : undefined;
  const name = (config as { currentContext?: unknown } | undefined)?.currentContext;
  return typeof name === 'string' && name !== 'default' && name !== '' ? name : undefined;
}

function contextEndpoint(environment: Environment, name: string): Endpoint | undefined {
  const directory = configDirectory(environment);
  if (!directory) return undefined;
  const id = createHash('sha256').update(name).digest('hex');
  const meta = readJson(join(directory, 'contexts/meta', id, 'meta.json')) as
    { Endpoints?: { docker?: { Host?: string } } } | undefined;
  const url = meta?.Endpoints?.docker?.Host;
  if (!url) return undefined;
  const secure = url.startsWith('tcp://') && url.endsWith(':2376');
  const origin = `context ${name}`;
  return secure ? { url, origin, certificates: join(directory, 'contexts/tls', id, 'docker') } : { url, origin };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
