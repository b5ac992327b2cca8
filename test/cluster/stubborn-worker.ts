/** A worker that ends at once with the code `EXIT`, or else does not end when it is told to. */
const { EXIT } = process.env
if (EXIT !== undefined) process.exit(Number(EXIT))
process.on("SIGTERM", () => {})
process.send!({ ready: process.pid })
