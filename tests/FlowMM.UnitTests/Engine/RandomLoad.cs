using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;

namespace FlowMM.UnitTests.Engine;

/// <summary>Clients that hold conversations, cancel, run out of time and begin anew, until the engine has made its steps.</summary>
internal sealed class RandomLoad(InferenceEngine engine, int seed, long until)
{
    private const int Clients = 12;
    private static readonly string[] Pictures = ["garment-039", "shape-016", "code-019", "garment-011", "shape-071", "codefont-004"];
    private static readonly SamplingOptions Options = new() { Temperature = 1.5, RepetitionPenalty = 3 };

    private int _turns;

    public int Turns => _turns;

    public Task Run(CancellationToken cancellationToken) =>
        Task.WhenAll(Enumerable.Range(0, Clients).Select(c => Task.Run(() => Client(c, cancellationToken), cancellationToken)));

    public async Task Forget(CancellationToken cancellationToken)
    {
        for (int client = 0; client < Clients; client++)
        {
            for (int session = 0; session < 3; session++)
            {
                await engine.Forget($"{client}-{session}", cancellationToken);
            }
        }
    }

    private async Task Client(int client, CancellationToken cancellationToken)
    {
        Random random = new((seed * Clients) + client);
        Dictionary<string, EngineSession> sessions = [];
        while (engine.Steps < until)
        {
            string key = $"{client}-{random.Next(3)}";
            if (!sessions.TryGetValue(key, out EngineSession? session) || session.History.Count >= 6)
            {
                // The same key with another conversation: nothing of the old one may be reused but what both begin with.
                MergingOptions merging = random.Next(3) == 0 ? new() { Method = "flowmm", BudgetRatio = 0.3, Rounds = 2 } : new();
                session = sessions[key] = new EngineSession(engine, key, merging);
            }

            byte[]? picture = random.Next(2) == 0 ? TinyModel.Picture(Pictures[random.Next(Pictures.Length)]) : null;
            string question = string.Join(' ', Enumerable.Repeat("What colour is the image?", random.Next(1, 12)));
            await Turn(session, session.Input(question, picture, Options with { Seed = (ulong)random.Next(), MaxTokens = random.Next(1, 120), SpeculateTokens = random.Next(4) * 3 }), random, cancellationToken);
            Interlocked.Increment(ref _turns);
        }
    }

    private async Task Turn(EngineSession session, TurnInput input, Random random, CancellationToken cancellationToken)
    {
        using CancellationTokenSource cancel = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        int last = random.Next(4) == 0 ? random.Next(5) : int.MaxValue;
        TurnInput asked = input with
        {
            Priority = random.Next(2),
            Timeout = random.Next(8) == 0 ? TimeSpan.FromMilliseconds(random.Next(100)) : null,
        };
        int tokens = 0;
        await foreach (EngineEvent happened in engine.Generate(asked, cancel.Token))
        {
            if (tokens++ == last)
            {
                cancel.Cancel();
            }

            if (happened is EndEvent end)
            {
                session.Answered(input, end.Ids);
            }
        }
    }
}
