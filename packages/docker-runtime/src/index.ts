export { createDockerRuntime } from './create-docker-runtime.ts';
export type { DockerRuntimeOptions, DockerRuntimeParts } from './create-docker-runtime.ts';
