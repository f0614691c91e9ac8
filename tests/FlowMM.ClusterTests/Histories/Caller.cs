using FlowMM.ClusterTests.Hosting;
using FlowMM.Inference.V1;
using Grpc.Core;

namespace FlowMM.ClusterTests.Histories;

/// <summary>Talks to one session, turn by turn, and asks again under the same id whenever it is told to; now and then it goes on in a copy.</summary>
internal sealed class Caller(TestCluster cluster, History history, int number, int seed)
{
    private static readonly string[] Questions = ["What is in image 3?", "What colour is image 1?", "Tell me about a boot.", "And a dress?", "Which one is larger?"];
    private readonly Random _random = new((seed * 1000) + number);
    private readonly bool _pictures = number % 3 == 0;

    public async Task Run(CancellationToken enough)
    {
        string session = $"s{number}";
        await Insist(async () => await cluster.Client.CreateSessionAsync(new() { SessionId = session, Merging = Album.Merging }, deadline: Soon()));
        int turns = 0;
        for (int step = 0; !enough.IsCancellationRequested; step++)
        {
            if (turns > 0 && _random.Next(8) == 0)
            {
                session = await Fork(session, $"s{number}-{step}", turns);
            }

            // A conversation that comes to the context's end is left for a new one.
            if (turns == 12)
            {
                session = $"s{number}-{step}-new";
                turns = 0;
                await Insist(async () => await cluster.Client.CreateSessionAsync(new() { SessionId = session, Merging = Album.Merging }, deadline: Soon()));
            }

            await Turn(session, $"t{step}", first: turns++ == 0);
        }
    }

    private static DateTime Soon() => DateTime.UtcNow.AddSeconds(10);

    private async Task Turn(string session, string id, bool first)
    {
        GenerateRequest request = Album.Turn(session, id, Questions[_random.Next(Questions.Length)], _pictures && first);
        request.Sampling = new SamplingOptions { MaxTokens = _random.Next(1, 200), Temperature = 1, RepetitionPenalty = 5, Seed = (ulong)_random.Next() };
        string text = "";
        Inference.V1.Turn? turn = null;
        await Insist(async () =>
        {
            history.Add(new Invoked(session, id));
            request.ResumeOffset = text.Length;
            using AsyncServerStreamingCall<GenerateResponse> call = cluster.Client.Generate(request);
            await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
            {
                if (response.Delta is { } delta)
                {
                    if (delta.Offset != text.Length)
                    {
                        history.Add(new Misplaced(session, id, delta.Offset, text.Length));
                    }

                    text += delta.Text;
                }

                turn = response.Finished?.Turn ?? turn;
            }
        });
        history.Add(new Acknowledged(session, id, turn!.Index, text, turn.Text));
    }

    /// <summary>A copy of the session: made by the first call, or by one whose answer was lost.</summary>
    private async Task<string> Fork(string session, string copy, int turns)
    {
        await Insist(async () =>
        {
            try
            {
                await cluster.Client.ForkSessionAsync(new() { SessionId = session, NewSessionId = copy }, deadline: Soon());
            }
            catch (RpcException made) when (made.StatusCode == StatusCode.AlreadyExists)
            {
                // Nobody else writes to the session, so it is the copy that was asked for.
            }
        });
        history.Add(new Forked(session, copy, turns));
        return copy;
    }

    /// <summary>Calls until there is an answer. Only what tells to come again is tried again.</summary>
    private static async Task Insist(Func<Task> call)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await call();
                return;
            }
            catch (RpcException error) when (attempt < 100 && error.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded)
            {
                await Task.Delay(300);
            }
        }
    }
}
