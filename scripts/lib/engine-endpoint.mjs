import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';

const answerTimeoutMs = 3_000;

export const defaultEndpoint = {
  url: process.platform === 'win32' ? 'npipe:////./pipe/docker_engine' : 'unix:///var/run/docker.sock',
  from: 'the default socket',
};

/**
 * Lists where an engine may answer, in the order the docker command looks: DOCKER_HOST alone when set, else the selected
 * Docker context alone, else the default socket, a rootless engine's and Docker Desktop's.
 */
export function candidateEndpoints(env = process.env) {
  if (env.DOCKER_HOST) return [{ url: env.DOCKER_HOST, from: 'DOCKER_HOST' }];
  const context = contextEndpoint(env);
  if (context !== undefined) return [context];
  if (process.platform === 'win32') return [defaultEndpoint];
  const runtimeDirectory = env.XDG_RUNTIME_DIR ?? `/run/user/${process.getuid()}`;
  return [
    defaultEndpoint,
    { url: `unix://${runtimeDirectory}/docker.sock`, from: 'the rootless socket' },
    { url: `unix://${homedir()}/.docker/run/docker.sock`, from: "Docker Desktop's socket" },
  ];
}

/**
 * Asks the engine at an endpoint whether it is up.
 *
 * @returns `undefined` when it answers, else the reason it did not
 */
export function whyNoAnswer(endpoint) {
  return new Promise((resolve) => {
    const request = openRequest(endpoint.url);
    if (request === undefined) return resolve(`this script cannot ask ${endpoint.url}`);
    request.setTimeout(answerTimeoutMs, () => request.destroy(new Error(`no answer in ${answerTimeoutMs} ms`)));
    request.on('error', (error) => resolve(error.code ?? error.message));
    request.on('response', (response) => {
      response.resume();
      response.on('close', () => resolve(response.statusCode === 200 ? undefined : `HTTP ${response.statusCode}`));
    });
    request.end();
  });
}

function openRequest(url) {
  const [scheme, rest] = url.split('://');
  if (scheme === 'unix' || scheme === 'npipe') {
    return http.request({ socketPath: scheme === 'npipe' ? rest.replaceAll('/', '\\') : rest, path: '/_ping' });
  }
  if (!['tcp', 'http', 'https'].includes(scheme) || !URL.canParse(`http://${rest}`)) return undefined;
  const { hostname, port } = new URL(`http://${rest}`);
  const secure = scheme === 'https' || Boolean(process.env.DOCKER_TLS_VERIFY);
  if (!secure) return http.request({ hostname, port: port || 2375, path: '/_ping' });
  return https.request({ hostname, port: port || 2376, path: '/_ping', ...clientCertificate() });
}

function clientCertificate() {
  const directory = process.env.DOCKER_CERT_PATH;
  if (!directory) return {};
  const read = (name) => readFileSync(join(directory, name));
  return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

function contextEndpoint(env) {
  const configDirectory = env.DOCKER_CONFIG ?? join(homedir(), '.docker');
  const name = env.DOCKER_CONTEXT ?? readJson(join(configDirectory, 'config.json'))?.currentContext;
  if (!name || name === 'default') return undefined;
  const id = createHash('sha256').update(name).digest('hex');
  const url = readJson(join(configDirectory, 'contexts', 'meta', id, 'meta.json'))?.Endpoints?.docker?.Host;
  return url ? { url, from: `the Docker context ${name}` } : undefined;
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
