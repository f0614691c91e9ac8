using FlowMM.Inference.V1;
using Google.Protobuf;
using Grpc.Core;

namespace FlowMM.ClusterTests.Hosting;

/// <summary>A conversation about several pictures, merged to 20 %: long enough that there is something to merge.</summary>
internal static class Album
{
    private static readonly string[] Pictures = ["garment-039", "shape-016", "code-019", "garment-011", "shape-071", "codefont-004", "garment-031", "garment-033"];

    public static MergingOptions Merging { get; } = new() { Method = "flowmm", BudgetRatio = 0.2 };

    /// <summary>Long random answers: what is said does not matter, that every token is the same does. The penalty keeps most end tokens away.</summary>
    public static SamplingOptions AtRandom(int tokens) => new() { MaxTokens = tokens, Temperature = 2, RepetitionPenalty = 10, Seed = 7 };

    public static async Task<string> Create(this TestCluster cluster, MergingOptions? merging = null) =>
        (await cluster.Client.CreateSessionAsync(new() { Merging = merging ?? Merging })).Session.SessionId;

    /// <summary>A turn's request; the first one of an image session shows every picture.</summary>
    public static GenerateRequest Turn(string session, string id, string question, bool pictures)
    {
        GenerateRequest request = new() { SessionId = session, TurnId = id };
        if (pictures)
        {
            request.Parts.Add(Pictures.Select(p => new Part { Image = new Image { Data = ByteString.CopyFrom(TestCluster.Picture(p)) } }));
        }

        request.Parts.Add(new Part { Text = question });
        return request;
    }

    /// <summary>Runs a turn as a client does that does not give up: the same id again from where the stream broke, until it is answered.</summary>
    public static async Task<(string Text, Turn Turn, int Broken)> Persist(this TestCluster cluster, GenerateRequest request, Func<int, Task>? onDelta = null)
    {
        string text = "";
        for (int broken = 0; ; broken++)
        {
            request.ResumeOffset = text.Length;
            try
            {
                using AsyncServerStreamingCall<GenerateResponse> call = cluster.Client.Generate(request);
                int deltas = 0;
                await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
                {
                    if (response.Delta is { } delta)
                    {
                        Xunit.Assert.Equal(text.Length, delta.Offset);
                        text += delta.Text;
                        await (onDelta?.Invoke(++deltas) ?? Task.CompletedTask);
                    }

                    if (response.Finished is { } finished)
                    {
                        return (text, finished.Turn, broken);
                    }
                }
            }
            catch (RpcException error) when (broken < 200 && error.StatusCode is StatusCode.Unavailable or StatusCode.Cancelled)
            {
                await Task.Delay(500);
            }
        }
    }
}
