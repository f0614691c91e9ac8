using FlowMM.Abstractions;
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
internal sealed class InferenceGrpcService(IClusterClient cluster, TenantResolver tenants, ResumedStream streams, SessionFiles files, IOptions<GatewayOptions> options)
    : InferenceService.InferenceServiceBase
{
    private readonly GatewayOptions _options = options.Value;

    public override async Task<CreateSessionResponse> CreateSession(CreateSessionRequest request, ServerCallContext context)
    {
        string tenant = tenants.Tenant(context.RequestHeaders);
        string id = RequestReader.IdOrNew(request.SessionId, "session_id");
        SessionSpec spec = RequestReader.Spec(request, _options);
        return new() { Session = ResponseWriter.Session(await cluster.GetGrain<ICatalogGrain>(0).Create(tenant, id, spec, context.CancellationToken)) };
    }

    public override async Task Generate(GenerateRequest request, IServerStreamWriter<GenerateResponse> responseStream, ServerCallContext context)
    {
        ISessionGrain session = Session(request.SessionId, context);
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
        new() { Session = ResponseWriter.Session(await Session(request.SessionId, context).Get(context.CancellationToken)) };

    public override async Task<ListTurnsResponse> ListTurns(ListTurnsRequest request, ServerCallContext context)
    {
        ISessionGrain session = Session(request.SessionId, context);
        (int skip, int take) = RequestReader.Page(request.PageToken, request.PageSize);
        TurnPage page = await session.ListTurns(skip, take, context.CancellationToken);
        return new()
        {
            Turns = { page.Turns.Select(ResponseWriter.Turn) },
            NextPageToken = page.More ? $"{skip + page.Turns.Count}" : "",
        };
    }

    public override async Task<CancelTurnResponse> CancelTurn(CancelTurnRequest request, ServerCallContext context)
    {
        ISessionGrain session = Session(request.SessionId, context);
        string turn = RequestReader.Id(request.TurnId, "turn_id");
        return new() { Cancelled = await session.Cancel(turn, context.CancellationToken) };
    }

    public override async Task<ForkSessionResponse> ForkSession(ForkSessionRequest request, ServerCallContext context)
    {
        ISessionGrain session = Session(request.SessionId, context);
        string copy = RequestReader.IdOrNew(request.NewSessionId, "new_session_id");
        return new() { Session = ResponseWriter.Session(await session.Fork(copy, request.Turns, context.CancellationToken)) };
    }

    public override async Task<RewindSessionResponse> RewindSession(RewindSessionRequest request, ServerCallContext context)
    {
        ISessionGrain session = Session(request.SessionId, context);
        return new() { Session = ResponseWriter.Session(await session.Rewind(request.Turns, context.CancellationToken)) };
    }

    public override async Task ExportSession(ExportSessionRequest request, IServerStreamWriter<ExportSessionResponse> responseStream, ServerCallContext context)
    {
        SessionKey key = new(tenants.Tenant(context.RequestHeaders), RequestReader.Id(request.SessionId, "session_id"));
        await foreach (ReadOnlyMemory<byte> piece in files.Export(key, context.CancellationToken))
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
        await Session(request.SessionId, context).Delete(context.CancellationToken);
        return new();
    }

    public override async Task<CountTokensResponse> CountTokens(CountTokensRequest request, ServerCallContext context)
    {
        tenants.Tenant(context.RequestHeaders);
        string system = RequestReader.Text(request.System, "system", _options);
        IReadOnlyList<MessagePart> parts = RequestReader.Parts(request.Parts, _options);
        TokenCount count = await Model().CountTokens(system, parts, context.CancellationToken);
        return new() { Tokens = count.Tokens, ImageTokens = count.ImageTokens };
    }

    public override async Task<GetModelResponse> GetModel(GetModelRequest request, ServerCallContext context)
    {
        tenants.Tenant(context.RequestHeaders);
        return ResponseWriter.Model(await Model().Describe(context.CancellationToken));
    }

    private ISessionGrain Session(string id, ServerCallContext context) =>
        cluster.GetGrain<ISessionGrain>(new SessionKey(tenants.Tenant(context.RequestHeaders), RequestReader.Id(id, "session_id")).ToString());

    private IModelGrain Model() => cluster.GetGrain<IModelGrain>(0);
}
