/** A path of the options as requests are compared with it: with one slash at its end. */
export const normalize = (path: string = "/socket.io"): string => path.replace(/\/+$/, "") + "/"
