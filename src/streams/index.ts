/**
 * The memory of a server for streams that resume.
 *
 * @since 0.1.0
 */
export * as StreamLog from "./StreamLog.ts"
export * as StreamMetrics from "./StreamMetrics.ts"
