import { distribution } from './debian.mjs';

const linuxSteps = {
  debian: 'apt-get update && apt-get install -y docker.io iptables',
  ubuntu: 'apt-get update && apt-get install -y docker.io iptables',
  fedora: 'dnf install -y moby-engine && systemctl start docker',
  rhel: 'dnf install -y dnf-plugins-core && follow https://docs.docker.com/engine/install/rhel/',
  arch: 'pacman -S --noconfirm docker && systemctl start docker',
  alpine: 'apk add docker && rc-service docker start',
  suse: 'zypper install -y docker && systemctl start docker',
};

/**
 * Says why no engine answers and what to do about it on this platform.
 *
 * @param refusals the endpoints asked, each with the reason it did not answer
 */
export function engineInstructions(refusals) {
  const asked = refusals.map(({ from, url, reason }) => `  ${from} (${url}): ${reason}`);
  return ['No Docker Engine answers.', ...asked, 'Remedy:', ...remedy(refusals).map((line) => `  ${line}`)].join('\n');
}

/** Says how to install what images are made with where no registry answers. */
export function imageToolInstructions(missing) {
  const how = distribution().some((id) => id === 'debian' || id === 'ubuntu')
    ? `as root: apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`
    : `install ${missing.join(' and ')} with your package manager`;
  return `Not found: ${missing.join(', ')}. Images that no registry provides are made with them. Remedy: ${how}`;
}

function remedy(refusals) {
  const [first] = refusals;
  if (refusals.some(({ reason }) => reason === 'EACCES')) {
    return ['You may not open the socket. As root: usermod -aG docker "$USER"; then log in again.'];
  }
  if (first.from === 'DOCKER_HOST') return ['Start the engine that DOCKER_HOST names, or unset DOCKER_HOST.'];
  if (first.from.startsWith('the Docker context')) return ['Start its engine, or run: docker context use default'];
  if (process.platform === 'linux') return [`As root: ${linuxStep()}`, 'Then start it, if it is not: dockerd'];
  return ['Install and start Docker Desktop: https://docs.docker.com/desktop/', 'Then run this command again.'];
}

function linuxStep() {
  const known = distribution().find((id) => Object.hasOwn(linuxSteps, id));
  return known ? linuxSteps[known] : 'follow https://docs.docker.com/engine/install/';
}
