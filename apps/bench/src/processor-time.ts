/** Microseconds of processor time that this process has used, in its own code and in the system's for it. */
export function processorUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
