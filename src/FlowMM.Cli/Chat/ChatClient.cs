using System.Runtime.CompilerServices;
using FlowMM.Inference.V1;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;

namespace FlowMM.Cli.Chat;

/// <summary>A conversation with a gateway. Turns carry ids of this client's making, so that a turn that was cut off is taken up again.</summary>
internal sealed class ChatClient : IDisposable
{
    private const int Retries = 5;
    private static readonly TimeSpan FirstWait = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan CancelWait = TimeSpan.FromSeconds(2);

    private readonly GrpcChannel _channel;
    private readonly InferenceService.InferenceServiceClient _service;
    private readonly ChatSettings _settings;
    private readonly Metadata _headers = [];

    public ChatClient(Uri address, ChatSettings settings)
    {
        _settings = settings;
        _channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { MaxReceiveMessageSize = null, MaxSendMessageSize = null });
        _service = new(_channel);
        if (settings.ApiKey is not null)
        {
            _headers.Add("authorization", $"Bearer {settings.ApiKey}");
        }
    }

    /// <summary>Id of the conversation; empty before <see cref="OpenAsync"/>.</summary>
    public string Session { get; private set; } = "";

    /// <summary>Goes on with a conversation, or starts it when there is none of this id.</summary>
    /// <param name="session">The id; null for a new one.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="RpcException">The gateway refused.</exception>
    public async Task OpenAsync(string? session, CancellationToken cancellationToken)
    {
        if (session is not null && await ExistsAsync(session, cancellationToken))
        {
            Session = session;
            return;
        }

        CreateSessionRequest request = new() { SessionId = session ?? "", Sampling = _settings.Sampling, Merging = _settings.Merging };
        CreateSessionResponse response = await _service.CreateSessionAsync(request, _headers, cancellationToken: cancellationToken);
        Session = response.Session.SessionId;
    }

    /// <summary>Asks one turn. A stream that breaks after the turn is on record is taken up where it broke.</summary>
    /// <param name="prompt">The question.</param>
    /// <param name="images">Encoded pictures, shown before the question.</param>
    /// <param name="cancellationToken">Cancels the turn.</param>
    public async IAsyncEnumerable<GenerateResponse> AskAsync(
        string prompt, IReadOnlyList<byte[]> images, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        GenerateRequest request = Request(prompt, images);
        bool recorded = false;
        for (int broken = 0; ; broken++)
        {
            await Task.Delay(FirstWait * broken, cancellationToken);
            using AsyncServerStreamingCall<GenerateResponse> call = _service.Generate(request, _headers, cancellationToken: cancellationToken);
            while (await MoveNextAsync(call, request, recorded && broken < Retries, cancellationToken))
            {
                GenerateResponse response = call.ResponseStream.Current;
                if (response.Delta is { } delta)
                {
                    request.ResumeOffset = delta.Offset + delta.Text.Length;
                }

                // A stream taken up again starts with the acceptance again; the reader has seen it.
                if (response.Accepted is null || !recorded)
                {
                    recorded = true;
                    yield return response;
                }

                if (response.Finished is not null)
                {
                    yield break;
                }
            }
        }
    }

    public void Dispose() => _channel.Dispose();

    private async Task<bool> ExistsAsync(string session, CancellationToken cancellationToken)
    {
        try
        {
            await _service.GetSessionAsync(new() { SessionId = session }, _headers, cancellationToken: cancellationToken);
            return true;
        }
        catch (RpcException exception) when (exception.StatusCode == StatusCode.NotFound)
        {
            return false;
        }
    }

    private GenerateRequest Request(string prompt, IReadOnlyList<byte[]> images) => new()
    {
        SessionId = Session,
        TurnId = Guid.CreateVersion7().ToString("N"),
        Parts =
        {
            images.Select(image => new Part { Image = new() { Data = UnsafeByteOperations.UnsafeWrap(image) } }),
            new Part { Text = prompt },
        },
        Sampling = _settings.Sampling,
        Merging = _settings.Merging,
    };

    /// <returns>False when the stream broke and the turn is to be asked for again.</returns>
    private async Task<bool> MoveNextAsync(
        AsyncServerStreamingCall<GenerateResponse> call, GenerateRequest request, bool mayRetry, CancellationToken cancellationToken)
    {
        try
        {
            return await call.ResponseStream.MoveNext(cancellationToken) ? true : throw new CommandException("the stream ended before the turn did");
        }
        catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable && mayRetry)
        {
            return false;
        }
        catch (RpcException) when (cancellationToken.IsCancellationRequested)
        {
            await CancelAsync(request);
            throw new OperationCanceledException(cancellationToken);
        }
    }

    // Hanging up stops the listening, not the turn; the user meant the turn.
    private async Task CancelAsync(GenerateRequest request)
    {
        try
        {
            await _service.CancelTurnAsync(new() { SessionId = request.SessionId, TurnId = request.TurnId }, _headers, DateTime.UtcNow + CancelWait);
        }
        catch (RpcException exception)
        {
            Failure.Print($"the turn may go on at the gateway: {Failure.Text(exception)}");
        }
    }
}
