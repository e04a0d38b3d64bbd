// A service in JavaScript: a span as JSON, one as protobuf and one over gRPC, below the span that TRACEPARENT names.
import { ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as Grpc } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as Json } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as Protobuf } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const endpoint = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
const [, traceId, spanId] = process.env.TRACEPARENT.split("-");
const parent = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true });
const exporters = {
  "javascript as json": new Json({ url: `${endpoint}/v1/traces`, compression: "gzip" }),
  "javascript as protobuf": new Protobuf({ url: `${endpoint}/v1/traces` }),
  "javascript over grpc": new Grpc({ url: endpoint, compression: "gzip" }),
};

for (const [name, exporter] of Object.entries(exporters)) {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "in-javascript" }),
    spanProcessors: [new SimpleSpanProcessor(exporter)],
  });
  const span = provider.getTracer("polyglot").startSpan(name, { attributes: { text: "ä ☃ 😀", numbers: [0.5, 2] } }, parent);
  span.end();
  await provider.shutdown();
}
