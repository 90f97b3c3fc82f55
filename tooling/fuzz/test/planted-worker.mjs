// A worker that does what a broken parser would make a real one do; the order's target says which.
process.once("message", ({ targetName }) => {
  const report = { next: 7, heapBytes: 0, verdicts: [], finding: undefined, isDone: false };
  switch (targetName) {
    case "hang":
      for (;;);
    case "leak":
      for (const heapBytes of [900, 100, 150, 5000]) process.send({ ...report, heapBytes });
      return;
    default:
      process.exit(3);
  }
});
