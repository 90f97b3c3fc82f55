export { commandLine, errorCodes, logEvents } from "./rules/catalogues.ts";
export { FILE_LINES_MAX, fileLength } from "./rules/file-length.ts";
export { logMessages } from "./rules/log-messages.ts";
export { names } from "./rules/names.ts";
export { packageParts } from "./rules/package-parts.ts";
export { links, titles } from "./rules/pages.ts";
export { projects } from "./rules/projects.ts";
export { publicFace } from "./rules/public-face.ts";
export { storageOrder } from "./rules/storage-order.ts";
export { workplace } from "./rules/workplace.ts";
export {
  describeFinding,
  type Finding,
  readTree,
  REPOSITORY_ROOT,
  type Rule,
  type SourceFile,
} from "./tree.ts";
