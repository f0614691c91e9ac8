using FlowMM.Inference.V1;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;

namespace FlowMM.EndToEndTests.Testing;

/// <summary>Asks a gateway over gRPC.</summary>
internal sealed class GatewayClient(string address) : IDisposable
{
    private readonly GrpcChannel _channel = GrpcChannel.ForAddress($"http://{address}");

    public InferenceService.InferenceServiceClient Service => new(_channel);

    public static Part Picture(byte[] bytes) => new() { Image = new Image { Data = ByteString.CopyFrom(bytes) } };

    public static Part Text(string text) => new() { Text = text };

    public async Task<string> CreateAsync() => (await Service.CreateSessionAsync(new CreateSessionRequest())).Session.SessionId;

    /// <summary>Runs a turn to its end.</summary>
    /// <exception cref="RpcException">It was refused.</exception>
    public async Task<Turn> AskAsync(string session, params Part[] parts)
    {
        using AsyncServerStreamingCall<GenerateResponse> call = Service.Generate(new GenerateRequest { SessionId = session, Parts = { parts } });
        Turn? turn = null;
        await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
        {
            turn = response.Finished?.Turn ?? turn;
        }

        return turn ?? throw new InvalidOperationException("The stream ended without its last event.");
    }

    public void Dispose() => _channel.Dispose();
}
