package dev.lossmeter.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
 * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
 * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class LossServiceGrpc {

  private LossServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "lossmeter.v1.LossService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateRequest,
      dev.lossmeter.v1.EvaluateResponse> getEvaluateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Evaluate",
      requestType = dev.lossmeter.v1.EvaluateRequest.class,
      responseType = dev.lossmeter.v1.EvaluateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateRequest,
      dev.lossmeter.v1.EvaluateResponse> getEvaluateMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateRequest, dev.lossmeter.v1.EvaluateResponse> getEvaluateMethod;
    if ((getEvaluateMethod = LossServiceGrpc.getEvaluateMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getEvaluateMethod = LossServiceGrpc.getEvaluateMethod) == null) {
          LossServiceGrpc.getEvaluateMethod = getEvaluateMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.EvaluateRequest, dev.lossmeter.v1.EvaluateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Evaluate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.EvaluateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.EvaluateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("Evaluate"))
              .build();
        }
      }
    }
    return getEvaluateMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateStreamRequest,
      dev.lossmeter.v1.EvaluateResponse> getEvaluateStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "EvaluateStream",
      requestType = dev.lossmeter.v1.EvaluateStreamRequest.class,
      responseType = dev.lossmeter.v1.EvaluateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateStreamRequest,
      dev.lossmeter.v1.EvaluateResponse> getEvaluateStreamMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateStreamRequest, dev.lossmeter.v1.EvaluateResponse> getEvaluateStreamMethod;
    if ((getEvaluateStreamMethod = LossServiceGrpc.getEvaluateStreamMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getEvaluateStreamMethod = LossServiceGrpc.getEvaluateStreamMethod) == null) {
          LossServiceGrpc.getEvaluateStreamMethod = getEvaluateStreamMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.EvaluateStreamRequest, dev.lossmeter.v1.EvaluateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.CLIENT_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "EvaluateStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.EvaluateStreamRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.EvaluateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("EvaluateStream"))
              .build();
        }
      }
    }
    return getEvaluateStreamMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.MergeStatesRequest,
      dev.lossmeter.v1.EvaluateResponse> getMergeStatesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "MergeStates",
      requestType = dev.lossmeter.v1.MergeStatesRequest.class,
      responseType = dev.lossmeter.v1.EvaluateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.MergeStatesRequest,
      dev.lossmeter.v1.EvaluateResponse> getMergeStatesMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.MergeStatesRequest, dev.lossmeter.v1.EvaluateResponse> getMergeStatesMethod;
    if ((getMergeStatesMethod = LossServiceGrpc.getMergeStatesMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getMergeStatesMethod = LossServiceGrpc.getMergeStatesMethod) == null) {
          LossServiceGrpc.getMergeStatesMethod = getMergeStatesMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.MergeStatesRequest, dev.lossmeter.v1.EvaluateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "MergeStates"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.MergeStatesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.EvaluateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("MergeStates"))
              .build();
        }
      }
    }
    return getMergeStatesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateRequest,
      dev.lossmeter.v1.ExplainResponse> getExplainMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Explain",
      requestType = dev.lossmeter.v1.EvaluateRequest.class,
      responseType = dev.lossmeter.v1.ExplainResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateRequest,
      dev.lossmeter.v1.ExplainResponse> getExplainMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.EvaluateRequest, dev.lossmeter.v1.ExplainResponse> getExplainMethod;
    if ((getExplainMethod = LossServiceGrpc.getExplainMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getExplainMethod = LossServiceGrpc.getExplainMethod) == null) {
          LossServiceGrpc.getExplainMethod = getExplainMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.EvaluateRequest, dev.lossmeter.v1.ExplainResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Explain"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.EvaluateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.ExplainResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("Explain"))
              .build();
        }
      }
    }
    return getExplainMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.ListLossesRequest,
      dev.lossmeter.v1.ListLossesResponse> getListLossesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListLosses",
      requestType = dev.lossmeter.v1.ListLossesRequest.class,
      responseType = dev.lossmeter.v1.ListLossesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.ListLossesRequest,
      dev.lossmeter.v1.ListLossesResponse> getListLossesMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.ListLossesRequest, dev.lossmeter.v1.ListLossesResponse> getListLossesMethod;
    if ((getListLossesMethod = LossServiceGrpc.getListLossesMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getListLossesMethod = LossServiceGrpc.getListLossesMethod) == null) {
          LossServiceGrpc.getListLossesMethod = getListLossesMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.ListLossesRequest, dev.lossmeter.v1.ListLossesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListLosses"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.ListLossesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.ListLossesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("ListLosses"))
              .build();
        }
      }
    }
    return getListLossesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.GetLossRequest,
      dev.lossmeter.v1.GetLossResponse> getGetLossMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetLoss",
      requestType = dev.lossmeter.v1.GetLossRequest.class,
      responseType = dev.lossmeter.v1.GetLossResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.GetLossRequest,
      dev.lossmeter.v1.GetLossResponse> getGetLossMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.GetLossRequest, dev.lossmeter.v1.GetLossResponse> getGetLossMethod;
    if ((getGetLossMethod = LossServiceGrpc.getGetLossMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getGetLossMethod = LossServiceGrpc.getGetLossMethod) == null) {
          LossServiceGrpc.getGetLossMethod = getGetLossMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.GetLossRequest, dev.lossmeter.v1.GetLossResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetLoss"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.GetLossRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.GetLossResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("GetLoss"))
              .build();
        }
      }
    }
    return getGetLossMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.lossmeter.v1.ExportLossRequest,
      dev.lossmeter.v1.ExportLossResponse> getExportLossMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ExportLoss",
      requestType = dev.lossmeter.v1.ExportLossRequest.class,
      responseType = dev.lossmeter.v1.ExportLossResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.lossmeter.v1.ExportLossRequest,
      dev.lossmeter.v1.ExportLossResponse> getExportLossMethod() {
    io.grpc.MethodDescriptor<dev.lossmeter.v1.ExportLossRequest, dev.lossmeter.v1.ExportLossResponse> getExportLossMethod;
    if ((getExportLossMethod = LossServiceGrpc.getExportLossMethod) == null) {
      synchronized (LossServiceGrpc.class) {
        if ((getExportLossMethod = LossServiceGrpc.getExportLossMethod) == null) {
          LossServiceGrpc.getExportLossMethod = getExportLossMethod =
              io.grpc.MethodDescriptor.<dev.lossmeter.v1.ExportLossRequest, dev.lossmeter.v1.ExportLossResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ExportLoss"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.ExportLossRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.lossmeter.v1.ExportLossResponse.getDefaultInstance()))
              .setSchemaDescriptor(new LossServiceMethodDescriptorSupplier("ExportLoss"))
              .build();
        }
      }
    }
    return getExportLossMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static LossServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<LossServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<LossServiceStub>() {
        @java.lang.Override
        public LossServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new LossServiceStub(channel, callOptions);
        }
      };
    return LossServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static LossServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<LossServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<LossServiceBlockingV2Stub>() {
        @java.lang.Override
        public LossServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new LossServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return LossServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static LossServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<LossServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<LossServiceBlockingStub>() {
        @java.lang.Override
        public LossServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new LossServiceBlockingStub(channel, callOptions);
        }
      };
    return LossServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static LossServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<LossServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<LossServiceFutureStub>() {
        @java.lang.Override
        public LossServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new LossServiceFutureStub(channel, callOptions);
        }
      };
    return LossServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
   * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
   * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Evaluates one loss, or several over shared tensors, on one batch.
     * The call reads no state and changes none. It fails with NOT_FOUND if no loss has the name, with
     * INVALID_ARGUMENT if a tensor, parameter or reduction is wrong or a mean is of nothing, and with
     * FAILED_PRECONDITION if the loss cannot do what is asked.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    default void evaluate(dev.lossmeter.v1.EvaluateRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getEvaluateMethod(), responseObserver);
    }

    /**
     * <pre>
     * Evaluates a batch of any length as its rows arrive, in constant memory.
     * The first message is the specification, the others are chunks of rows; messages of about 1 MiB
     * are best. The answer comes after the last. It fails with FAILED_PRECONDITION and the reason
     * NOT_STREAMABLE if the answer needs all samples at once, with RESOURCE_EXHAUSTED and OVERLOADED
     * if too many streams are open, with DEADLINE_EXCEEDED if it brings nothing for too long, and as
     * Evaluate does besides. It fails as soon as a chunk is wrong, whatever is still being sent; the
     * metadata of ErrorInfo has the position of the chunk, counted from 0, as `chunk`.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateStreamRequest> evaluateStream(
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getEvaluateStreamMethod(), responseObserver);
    }

    /**
     * <pre>
     * Finishes states made apart as if their batches had been one.
     * It fails with FAILED_PRECONDITION and the reason STATE_MISMATCH if they were made by different
     * specifications, DUPLICATE_BATCH if a batch is in two of them, NOT_MERGEABLE if they lack what
     * the reduction needs; with INVALID_ARGUMENT if the bytes are no state.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    default void mergeStates(dev.lossmeter.v1.MergeStatesRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getMergeStatesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Evaluates, and says how the answer comes about and what every other framework says of the same
     * data, with a sentence for each difference. It fails as Evaluate does.
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    default void explain(dev.lossmeter.v1.EvaluateRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.ExplainResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getExplainMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the losses, or those that a framework or words ask for. It fails with INVALID_ARGUMENT if
     * the framework is not known.
     * </pre>
     */
    default void listLosses(dev.lossmeter.v1.ListLossesRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.ListLossesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListLossesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Describes one loss, by canonical name or symbol. It fails with NOT_FOUND if nothing has the
     * name.
     * </pre>
     */
    default void getLoss(dev.lossmeter.v1.GetLossRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.GetLossResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetLossMethod(), responseObserver);
    }

    /**
     * <pre>
     * Exports a loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
     * It fails with NOT_FOUND if nothing has the name, with INVALID_ARGUMENT if a parameter or setting
     * is wrong, with FAILED_PRECONDITION and the reason BACKEND_UNSUPPORTED if the loss or reduction
     * has no graph or a size is missing, and with RESOURCE_EXHAUSTED if the graph would be too large.
     * </pre>
     */
    default void exportLoss(dev.lossmeter.v1.ExportLossRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.ExportLossResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getExportLossMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service LossService.
   * <pre>
   * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
   * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
   * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
   * </pre>
   */
  public static abstract class LossServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return LossServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service LossService.
   * <pre>
   * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
   * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
   * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
   * </pre>
   */
  public static final class LossServiceStub
      extends io.grpc.stub.AbstractAsyncStub<LossServiceStub> {
    private LossServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected LossServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new LossServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Evaluates one loss, or several over shared tensors, on one batch.
     * The call reads no state and changes none. It fails with NOT_FOUND if no loss has the name, with
     * INVALID_ARGUMENT if a tensor, parameter or reduction is wrong or a mean is of nothing, and with
     * FAILED_PRECONDITION if the loss cannot do what is asked.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public void evaluate(dev.lossmeter.v1.EvaluateRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getEvaluateMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Evaluates a batch of any length as its rows arrive, in constant memory.
     * The first message is the specification, the others are chunks of rows; messages of about 1 MiB
     * are best. The answer comes after the last. It fails with FAILED_PRECONDITION and the reason
     * NOT_STREAMABLE if the answer needs all samples at once, with RESOURCE_EXHAUSTED and OVERLOADED
     * if too many streams are open, with DEADLINE_EXCEEDED if it brings nothing for too long, and as
     * Evaluate does besides. It fails as soon as a chunk is wrong, whatever is still being sent; the
     * metadata of ErrorInfo has the position of the chunk, counted from 0, as `chunk`.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateStreamRequest> evaluateStream(
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncClientStreamingCall(
          getChannel().newCall(getEvaluateStreamMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Finishes states made apart as if their batches had been one.
     * It fails with FAILED_PRECONDITION and the reason STATE_MISMATCH if they were made by different
     * specifications, DUPLICATE_BATCH if a batch is in two of them, NOT_MERGEABLE if they lack what
     * the reduction needs; with INVALID_ARGUMENT if the bytes are no state.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public void mergeStates(dev.lossmeter.v1.MergeStatesRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getMergeStatesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Evaluates, and says how the answer comes about and what every other framework says of the same
     * data, with a sentence for each difference. It fails as Evaluate does.
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public void explain(dev.lossmeter.v1.EvaluateRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.ExplainResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getExplainMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the losses, or those that a framework or words ask for. It fails with INVALID_ARGUMENT if
     * the framework is not known.
     * </pre>
     */
    public void listLosses(dev.lossmeter.v1.ListLossesRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.ListLossesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListLossesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Describes one loss, by canonical name or symbol. It fails with NOT_FOUND if nothing has the
     * name.
     * </pre>
     */
    public void getLoss(dev.lossmeter.v1.GetLossRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.GetLossResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetLossMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Exports a loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
     * It fails with NOT_FOUND if nothing has the name, with INVALID_ARGUMENT if a parameter or setting
     * is wrong, with FAILED_PRECONDITION and the reason BACKEND_UNSUPPORTED if the loss or reduction
     * has no graph or a size is missing, and with RESOURCE_EXHAUSTED if the graph would be too large.
     * </pre>
     */
    public void exportLoss(dev.lossmeter.v1.ExportLossRequest request,
        io.grpc.stub.StreamObserver<dev.lossmeter.v1.ExportLossResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getExportLossMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service LossService.
   * <pre>
   * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
   * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
   * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
   * </pre>
   */
  public static final class LossServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<LossServiceBlockingV2Stub> {
    private LossServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected LossServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new LossServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Evaluates one loss, or several over shared tensors, on one batch.
     * The call reads no state and changes none. It fails with NOT_FOUND if no loss has the name, with
     * INVALID_ARGUMENT if a tensor, parameter or reduction is wrong or a mean is of nothing, and with
     * FAILED_PRECONDITION if the loss cannot do what is asked.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public dev.lossmeter.v1.EvaluateResponse evaluate(dev.lossmeter.v1.EvaluateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getEvaluateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Evaluates a batch of any length as its rows arrive, in constant memory.
     * The first message is the specification, the others are chunks of rows; messages of about 1 MiB
     * are best. The answer comes after the last. It fails with FAILED_PRECONDITION and the reason
     * NOT_STREAMABLE if the answer needs all samples at once, with RESOURCE_EXHAUSTED and OVERLOADED
     * if too many streams are open, with DEADLINE_EXCEEDED if it brings nothing for too long, and as
     * Evaluate does besides. It fails as soon as a chunk is wrong, whatever is still being sent; the
     * metadata of ErrorInfo has the position of the chunk, counted from 0, as `chunk`.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.lossmeter.v1.EvaluateStreamRequest, dev.lossmeter.v1.EvaluateResponse>
        evaluateStream() {
      return io.grpc.stub.ClientCalls.blockingClientStreamingCall(
          getChannel(), getEvaluateStreamMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Finishes states made apart as if their batches had been one.
     * It fails with FAILED_PRECONDITION and the reason STATE_MISMATCH if they were made by different
     * specifications, DUPLICATE_BATCH if a batch is in two of them, NOT_MERGEABLE if they lack what
     * the reduction needs; with INVALID_ARGUMENT if the bytes are no state.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public dev.lossmeter.v1.EvaluateResponse mergeStates(dev.lossmeter.v1.MergeStatesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getMergeStatesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Evaluates, and says how the answer comes about and what every other framework says of the same
     * data, with a sentence for each difference. It fails as Evaluate does.
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public dev.lossmeter.v1.ExplainResponse explain(dev.lossmeter.v1.EvaluateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getExplainMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the losses, or those that a framework or words ask for. It fails with INVALID_ARGUMENT if
     * the framework is not known.
     * </pre>
     */
    public dev.lossmeter.v1.ListLossesResponse listLosses(dev.lossmeter.v1.ListLossesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListLossesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Describes one loss, by canonical name or symbol. It fails with NOT_FOUND if nothing has the
     * name.
     * </pre>
     */
    public dev.lossmeter.v1.GetLossResponse getLoss(dev.lossmeter.v1.GetLossRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetLossMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Exports a loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
     * It fails with NOT_FOUND if nothing has the name, with INVALID_ARGUMENT if a parameter or setting
     * is wrong, with FAILED_PRECONDITION and the reason BACKEND_UNSUPPORTED if the loss or reduction
     * has no graph or a size is missing, and with RESOURCE_EXHAUSTED if the graph would be too large.
     * </pre>
     */
    public dev.lossmeter.v1.ExportLossResponse exportLoss(dev.lossmeter.v1.ExportLossRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getExportLossMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service LossService.
   * <pre>
   * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
   * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
   * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
   * </pre>
   */
  public static final class LossServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<LossServiceBlockingStub> {
    private LossServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected LossServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new LossServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Evaluates one loss, or several over shared tensors, on one batch.
     * The call reads no state and changes none. It fails with NOT_FOUND if no loss has the name, with
     * INVALID_ARGUMENT if a tensor, parameter or reduction is wrong or a mean is of nothing, and with
     * FAILED_PRECONDITION if the loss cannot do what is asked.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public dev.lossmeter.v1.EvaluateResponse evaluate(dev.lossmeter.v1.EvaluateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getEvaluateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Finishes states made apart as if their batches had been one.
     * It fails with FAILED_PRECONDITION and the reason STATE_MISMATCH if they were made by different
     * specifications, DUPLICATE_BATCH if a batch is in two of them, NOT_MERGEABLE if they lack what
     * the reduction needs; with INVALID_ARGUMENT if the bytes are no state.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public dev.lossmeter.v1.EvaluateResponse mergeStates(dev.lossmeter.v1.MergeStatesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getMergeStatesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Evaluates, and says how the answer comes about and what every other framework says of the same
     * data, with a sentence for each difference. It fails as Evaluate does.
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public dev.lossmeter.v1.ExplainResponse explain(dev.lossmeter.v1.EvaluateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getExplainMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the losses, or those that a framework or words ask for. It fails with INVALID_ARGUMENT if
     * the framework is not known.
     * </pre>
     */
    public dev.lossmeter.v1.ListLossesResponse listLosses(dev.lossmeter.v1.ListLossesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListLossesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Describes one loss, by canonical name or symbol. It fails with NOT_FOUND if nothing has the
     * name.
     * </pre>
     */
    public dev.lossmeter.v1.GetLossResponse getLoss(dev.lossmeter.v1.GetLossRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetLossMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Exports a loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
     * It fails with NOT_FOUND if nothing has the name, with INVALID_ARGUMENT if a parameter or setting
     * is wrong, with FAILED_PRECONDITION and the reason BACKEND_UNSUPPORTED if the loss or reduction
     * has no graph or a size is missing, and with RESOURCE_EXHAUSTED if the graph would be too large.
     * </pre>
     */
    public dev.lossmeter.v1.ExportLossResponse exportLoss(dev.lossmeter.v1.ExportLossRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getExportLossMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service LossService.
   * <pre>
   * Computes losses with any reduction. Messages use the names of the JSON, in the same nesting.
   * Every error carries google.rpc.ErrorInfo with the domain "lossmeter" and a reason; a mistake in a
   * field carries google.rpc.BadRequest besides. No message repeats the caller's data.
   * </pre>
   */
  public static final class LossServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<LossServiceFutureStub> {
    private LossServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected LossServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new LossServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Evaluates one loss, or several over shared tensors, on one batch.
     * The call reads no state and changes none. It fails with NOT_FOUND if no loss has the name, with
     * INVALID_ARGUMENT if a tensor, parameter or reduction is wrong or a mean is of nothing, and with
     * FAILED_PRECONDITION if the loss cannot do what is asked.
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.lossmeter.v1.EvaluateResponse> evaluate(
        dev.lossmeter.v1.EvaluateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getEvaluateMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Finishes states made apart as if their batches had been one.
     * It fails with FAILED_PRECONDITION and the reason STATE_MISMATCH if they were made by different
     * specifications, DUPLICATE_BATCH if a batch is in two of them, NOT_MERGEABLE if they lack what
     * the reduction needs; with INVALID_ARGUMENT if the bytes are no state.
     * buf:lint:ignore RPC_RESPONSE_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.lossmeter.v1.EvaluateResponse> mergeStates(
        dev.lossmeter.v1.MergeStatesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getMergeStatesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Evaluates, and says how the answer comes about and what every other framework says of the same
     * data, with a sentence for each difference. It fails as Evaluate does.
     * buf:lint:ignore RPC_REQUEST_STANDARD_NAME
     * buf:lint:ignore RPC_REQUEST_RESPONSE_UNIQUE
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.lossmeter.v1.ExplainResponse> explain(
        dev.lossmeter.v1.EvaluateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getExplainMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the losses, or those that a framework or words ask for. It fails with INVALID_ARGUMENT if
     * the framework is not known.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.lossmeter.v1.ListLossesResponse> listLosses(
        dev.lossmeter.v1.ListLossesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListLossesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Describes one loss, by canonical name or symbol. It fails with NOT_FOUND if nothing has the
     * name.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.lossmeter.v1.GetLossResponse> getLoss(
        dev.lossmeter.v1.GetLossRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetLossMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Exports a loss as an ONNX graph that runs elsewhere, with weights, mask and reduction inside.
     * It fails with NOT_FOUND if nothing has the name, with INVALID_ARGUMENT if a parameter or setting
     * is wrong, with FAILED_PRECONDITION and the reason BACKEND_UNSUPPORTED if the loss or reduction
     * has no graph or a size is missing, and with RESOURCE_EXHAUSTED if the graph would be too large.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.lossmeter.v1.ExportLossResponse> exportLoss(
        dev.lossmeter.v1.ExportLossRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getExportLossMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_EVALUATE = 0;
  private static final int METHODID_MERGE_STATES = 1;
  private static final int METHODID_EXPLAIN = 2;
  private static final int METHODID_LIST_LOSSES = 3;
  private static final int METHODID_GET_LOSS = 4;
  private static final int METHODID_EXPORT_LOSS = 5;
  private static final int METHODID_EVALUATE_STREAM = 6;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_EVALUATE:
          serviceImpl.evaluate((dev.lossmeter.v1.EvaluateRequest) request,
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse>) responseObserver);
          break;
        case METHODID_MERGE_STATES:
          serviceImpl.mergeStates((dev.lossmeter.v1.MergeStatesRequest) request,
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse>) responseObserver);
          break;
        case METHODID_EXPLAIN:
          serviceImpl.explain((dev.lossmeter.v1.EvaluateRequest) request,
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.ExplainResponse>) responseObserver);
          break;
        case METHODID_LIST_LOSSES:
          serviceImpl.listLosses((dev.lossmeter.v1.ListLossesRequest) request,
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.ListLossesResponse>) responseObserver);
          break;
        case METHODID_GET_LOSS:
          serviceImpl.getLoss((dev.lossmeter.v1.GetLossRequest) request,
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.GetLossResponse>) responseObserver);
          break;
        case METHODID_EXPORT_LOSS:
          serviceImpl.exportLoss((dev.lossmeter.v1.ExportLossRequest) request,
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.ExportLossResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_EVALUATE_STREAM:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.evaluateStream(
              (io.grpc.stub.StreamObserver<dev.lossmeter.v1.EvaluateResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getEvaluateMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.lossmeter.v1.EvaluateRequest,
              dev.lossmeter.v1.EvaluateResponse>(
                service, METHODID_EVALUATE)))
        .addMethod(
          getEvaluateStreamMethod(),
          io.grpc.stub.ServerCalls.asyncClientStreamingCall(
            new MethodHandlers<
              dev.lossmeter.v1.EvaluateStreamRequest,
              dev.lossmeter.v1.EvaluateResponse>(
                service, METHODID_EVALUATE_STREAM)))
        .addMethod(
          getMergeStatesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.lossmeter.v1.MergeStatesRequest,
              dev.lossmeter.v1.EvaluateResponse>(
                service, METHODID_MERGE_STATES)))
        .addMethod(
          getExplainMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.lossmeter.v1.EvaluateRequest,
              dev.lossmeter.v1.ExplainResponse>(
                service, METHODID_EXPLAIN)))
        .addMethod(
          getListLossesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.lossmeter.v1.ListLossesRequest,
              dev.lossmeter.v1.ListLossesResponse>(
                service, METHODID_LIST_LOSSES)))
        .addMethod(
          getGetLossMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.lossmeter.v1.GetLossRequest,
              dev.lossmeter.v1.GetLossResponse>(
                service, METHODID_GET_LOSS)))
        .addMethod(
          getExportLossMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.lossmeter.v1.ExportLossRequest,
              dev.lossmeter.v1.ExportLossResponse>(
                service, METHODID_EXPORT_LOSS)))
        .build();
  }

  private static abstract class LossServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    LossServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.lossmeter.v1.LossServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("LossService");
    }
  }

  private static final class LossServiceFileDescriptorSupplier
      extends LossServiceBaseDescriptorSupplier {
    LossServiceFileDescriptorSupplier() {}
  }

  private static final class LossServiceMethodDescriptorSupplier
      extends LossServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    LossServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (LossServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new LossServiceFileDescriptorSupplier())
              .addMethod(getEvaluateMethod())
              .addMethod(getEvaluateStreamMethod())
              .addMethod(getMergeStatesMethod())
              .addMethod(getExplainMethod())
              .addMethod(getListLossesMethod())
              .addMethod(getGetLossMethod())
              .addMethod(getExportLossMethod())
              .build();
        }
      }
    }
    return result;
  }
}
