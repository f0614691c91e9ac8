using FlowMM.Abstractions;
using FlowMM.Gateway.Calls;
using FlowMM.Gateway.Files;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Requests;
using FlowMM.Gateway.Streams;
using FlowMM.Gateway.Tenants;
using FlowMM.Inference.V1;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.Extensions.Options;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Services;

/// <summary>The inference service: checks a request, names the session's grain, passes on what it says.</summary>
internal sealed class InferenceGrpcService(IClusterClient cluster, TenantResolver tenants, ResumedStream streams, SessionFiles files, SessionCalls sessions, RepeatedCalls calls, IOptions<GatewayOptions> options)
    : InferenceService.InferenceServiceBase
{
    private readonly GatewayOptions _options = options.Value;

    public override async Task<CreateSessionResponse> CreateSession(CreateSessionRequest request, ServerCallContext context)
    {
        string tenant = tenants.Tenant(context.RequestHeaders);
        string id = RequestReader.IdOrNew(request.SessionId, "session_id");
        SessionSpec spec = RequestReader.Spec(request, _options);
        return new() { Session = ResponseWriter.Session(await sessions.Create(new(tenant, id), spec, context.CancellationToken)) };
    }

    public override async Task Generate(GenerateRequest request, IServerStreamWriter<GenerateResponse> responseStream, ServerCallContext context)
    {
        ISessionGrain session = cluster.GetGrain<ISessionGrain>(Key(request.SessionId, context).ToString());
        string turnId = RequestReader.IdOrNew(request.TurnId, "turn_id");
        TurnRequest turn = RequestReader.Turn(request, turnId, _options);

        // From here on the turn may be on record: an interruption names the id to retry by.
        context.UserState[ErrorInterceptor.TurnId] = turnId;
        if (turn.Parts.Any(p => p.Image is not null))
        {
            RequestContext.Set(RequestKeys.Pictures, PictureDigest.Pack([.. turn.Parts.Select(p => p.Image?.Hash).OfType<string>().Select(PictureDigest.Key)]));
        }

        await foreach (TurnEvent turnEvent in streams.Listen(session, turn, context.CancellationToken))
        {
            await responseStream.WriteAsync(ResponseWriter.Event(turnEvent, request.SessionId), context.CancellationToken);
        }
    }

    public override async Task<GetSessionResponse> GetSession(GetSessionRequest request, ServerCallContext context) =>
        new() { Session = ResponseWriter.Session(await sessions.Get(Key(request.SessionId, context), context.CancellationToken)) };

    public override async Task<ListTurnsResponse> ListTurns(ListTurnsRequest request, ServerCallContext context)
    {
        SessionKey session = Key(request.SessionId, context);
        (int skip, int take) = RequestReader.Page(request.PageToken, request.PageSize);
        TurnPage page = await sessions.ListTurns(session, skip, take, context.CancellationToken);
        return new()
        {
            Turns = { page.Turns.Select(ResponseWriter.Turn) },
            NextPageToken = page.More ? $"{skip + page.Turns.Count}" : "",
        };
    }

    public override async Task<CancelTurnResponse> CancelTurn(CancelTurnRequest request, ServerCallContext context)
    {
        SessionKey session = Key(request.SessionId, context);
        string turn = RequestReader.Id(request.TurnId, "turn_id");
        return new() { Cancelled = await sessions.Cancel(session, turn, context.CancellationToken) };
    }

    public override async Task<ForkSessionResponse> ForkSession(ForkSessionRequest request, ServerCallContext context)
    {
        SessionKey session = Key(request.SessionId, context);
        string copy = request.NewSessionId.Length == 0 ? "" : RequestReader.Id(request.NewSessionId, "new_session_id");
        return new() { Session = ResponseWriter.Session(await sessions.Fork(session, copy, request.Turns, context.CancellationToken)) };
    }

    public override async Task<RewindSessionResponse> RewindSession(RewindSessionRequest request, ServerCallContext context) =>
        new() { Session = ResponseWriter.Session(await sessions.Rewind(Key(request.SessionId, context), request.Turns, context.CancellationToken)) };

    public override async Task ExportSession(ExportSessionRequest request, IServerStreamWriter<ExportSessionResponse> responseStream, ServerCallContext context)
    {
        await foreach (ReadOnlyMemory<byte> piece in files.Export(Key(request.SessionId, context), context.CancellationToken))
        {
            await responseStream.WriteAsync(new() { Data = UnsafeByteOperations.UnsafeWrap(piece) }, context.CancellationToken);
        }
    }

    public override async Task<ImportSessionResponse> ImportSession(IAsyncStreamReader<ImportSessionRequest> requestStream, ServerCallContext context)
    {
        string tenant = tenants.Tenant(context.RequestHeaders);
        if (!await requestStream.MoveNext(context.CancellationToken))
        {
            throw RequestReader.Refuse("the file is empty");
        }

        SessionKey key = new(tenant, RequestReader.IdOrNew(requestStream.Current.SessionId, "session_id"));
        return new() { Session = ResponseWriter.Session(await files.Import(key, requestStream, context.CancellationToken)) };
    }

    public override async Task<DeleteSessionResponse> DeleteSession(DeleteSessionRequest request, ServerCallContext context)
    {
        await sessions.Delete(Key(request.SessionId, context), context.CancellationToken);
        return new();
    }

    public override async Task<CountTokensResponse> CountTokens(CountTokensRequest request, ServerCallContext context)
    {
        tenants.Tenant(context.RequestHeaders);
        string system = RequestReader.Text(request.System, "system", _options);
        IReadOnlyList<MessagePart> parts = RequestReader.Parts(request.Parts, _options);
        // Pictures are not sent twice because counting them takes long.
        TokenCount count = await calls.Repeat(_ => Model().CountTokens(system, parts, context.CancellationToken), context.CancellationToken);
        return new() { Tokens = count.Tokens, ImageTokens = count.ImageTokens };
    }

    public override async Task<GetModelResponse> GetModel(GetModelRequest request, ServerCallContext context)
    {
        tenants.Tenant(context.RequestHeaders);
        return ResponseWriter.Model(await calls.Ask(left => Model().Describe(left), context.CancellationToken));
    }

    private SessionKey Key(string id, ServerCallContext context) => new(tenants.Tenant(context.RequestHeaders), RequestReader.Id(id, "session_id"));

    private IModelGrain Model() => cluster.GetGrain<IModelGrain>(0);
}
