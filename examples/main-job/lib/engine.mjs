import { readFile, readdir } from 'node:fs/promises';
import http from 'node:http';

const homeLabel = 'io.opencode-tools.home';
const kindLabel = 'io.opencode-tools.kind';

/** Asks the Docker Engine itself, so that no claim about it rests on our own records. */
export function createEngine(endpoint) {
  const ask = (method, path) => request(endpoint, method, path);
  const list = (path, filters) => ask('GET', `${path}filters=${encodeURIComponent(JSON.stringify(filters))}`);

  /** Containers, volumes, networks and images that carry the home's label; the volume of its layers, which has checkpoints, apart. */
  async function objectsOf(homeId) {
    const filters = { label: [`${homeLabel}=${homeId}`] };
    const [containers, volumes, networks, images] = await Promise.all([
      list('/containers/json?all=1&', filters),
      list('/volumes?', filters),
      list('/networks?', filters),
      list('/images/json?', filters),
    ]);
    const isOfLayers = ({ Labels }) => Labels[kindLabel] === 'layers';
    const found = volumes.Volumes ?? [];
    return {
      containers: containers.map(({ Id }) => Id),
      volumes: found.filter((volume) => !isOfLayers(volume)).map(({ Name }) => Name),
      layers: found.filter(isOfLayers).map(({ Name }) => Name),
      networks: networks.map(({ Id }) => Id),
      images: images.map(({ Id }) => Id),
    };
  }

  /** Command lines of the processes in a container, as the engine sees them. */
  async function processesOf(container) {
    const { Titles, Processes } = await ask('GET', `/containers/${container}/top?ps_args=-eo%20pid,args`);
    const command = Titles.length - 1;
    return Processes.map((fields) => fields[command]);
  }

  /** Removes images that hold the home's saved root file systems. */
  async function removeImages(homeId) {
    for (const id of (await objectsOf(homeId)).images) await ask('DELETE', `/images/${id}?force=1`);
  }

  /** Removes everything of the home, for a run that failed half way. */
  async function removeAll(homeId) {
    const { containers, volumes, layers, networks } = await objectsOf(homeId);
    for (const id of containers) await ask('DELETE', `/containers/${id}?force=1`);
    for (const name of [...volumes, ...layers]) await ask('DELETE', `/volumes/${name}?force=1`);
    for (const id of networks) await ask('DELETE', `/networks/${id}`);
    await removeImages(homeId);
  }

  return { objectsOf, processesOf, removeImages, removeAll, version: () => ask('GET', '/version') };
}

/**
 * Lists processes of this host that run in one of the containers or were started with this home. Empty where there is no
 * /proc, or where the engine runs in a virtual machine.
 */
export async function hostProcesses(home, containers) {
  const found = [];
  for (const entry of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const cgroup = await readText(`/proc/${entry}/cgroup`);
    const environment = await readText(`/proc/${entry}/environ`);
    const isOurs = environment.includes(`OPENCODE_TOOLS_HOME=${home}`) || containers.some((id) => cgroup.includes(id));
    if (isOurs) found.push((await readText(`/proc/${entry}/cmdline`)).replaceAll('\0', ' ').trim() || entry);
  }
  return found;
}

async function readText(file) {
  return await readFile(file, 'utf8').catch(() => '');
}

function request(endpoint, method, path) {
  return new Promise((resolve, reject) => {
    const sent = http.request({ ...addressOf(endpoint), method, path }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (response.statusCode >= 400)
          reject(new Error(`The engine answered ${response.statusCode} to ${path}: ${text}`));
        else resolve(text.trim() === '' ? undefined : JSON.parse(text));
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

function addressOf(endpoint) {
  if (endpoint.startsWith('unix://')) return { socketPath: endpoint.slice('unix://'.length) };
  if (endpoint.startsWith('npipe://')) return { socketPath: endpoint.slice('npipe://'.length).replaceAll('/', '\\') };
  const { hostname, port } = new URL(endpoint.replace(/^tcp:/, 'http:'));
  return { hostname, port: port || 2375 };
}
