using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine.Offline;

/// <summary>
/// Prefills and decodes sessions side by side in shared forward passes. Runs on the caller's thread; one runner a model at a time.
/// </summary>
/// <param name="model">The model; not disposed.</param>
public sealed class OfflineRunner(ChatModel model)
{
    // Attention's mask is chunk x history: this bounds it for long prompts.
    private const int ChunkTokens = 1024;

    /// <summary>The model that computes.</summary>
    public ChatModel Model => model;

    /// <summary>Feeds every session its input; afterwards <see cref="OfflineSession.Next"/> is what follows.</summary>
    /// <param name="inputs">One a session.</param>
    /// <exception cref="ArgumentException">An input has fewer image rows than image tokens.</exception>
    public void Prefill(IReadOnlyList<OfflineInput> inputs)
    {
        Reading[] waiting = [.. inputs.Select(i => new Reading(i))];
        while (waiting.Length > 0)
        {
            Step(waiting);
            waiting = [.. waiting.Where(r => !r.Done)];
        }
    }

    /// <summary>
    /// Decodes greedily until an end token or the bound. Every generated token is fed, the end token too, so that the cache holds whole
    /// answers.
    /// </summary>
    /// <param name="sessions">Sessions that were prefilled.</param>
    /// <param name="most">Most tokens of an answer, at least 1.</param>
    /// <returns>The ids of each answer, its end token included.</returns>
    /// <exception cref="InvalidOperationException">A session has read nothing yet.</exception>
    public IReadOnlyList<IReadOnlyList<int>> Decode(IReadOnlyList<OfflineSession> sessions, int most)
    {
        List<int>[] answers = [.. sessions.Select(_ => new List<int>())];
        int[] running = [.. Enumerable.Range(0, sessions.Count)];
        while (running.Length > 0)
        {
            foreach (int i in running)
            {
                answers[i].Add(sessions[i].Next ?? throw new InvalidOperationException("The session has read nothing to answer."));
            }

            Prefill([.. running.Select(i => new OfflineInput { Session = sessions[i], Ids = new[] { answers[i][^1] } })]);
            running = [.. running.Where(i => !model.EndIds.Contains(answers[i][^1]) && answers[i].Count < most)];
        }

        return answers;
    }

    private void Step(IReadOnlyList<Reading> readings)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable mode = no_grad();
        SequenceChunk[] chunks = [.. readings.Select(r => r.Take(ChunkTokens, model.ImageTokenId))];
        long[] next = model.Forward(chunks).argmax(1).to(CPU).data<long>().ToArray(); // [chunks]
        for (int i = 0; i < next.Length; i++)
        {
            readings[i].Session.Next = (int)next[i];
        }
    }

    /// <summary>How far an input has been read.</summary>
    private sealed class Reading(OfflineInput input)
    {
        private int _read;
        private int _rows;

        public OfflineSession Session => input.Session;

        public bool Done => _read == input.Ids.Length;

        public SequenceChunk Take(int most, int? imageToken)
        {
            int start = _read;
            ReadOnlyMemory<int> ids = input.Ids.Slice(start, Math.Min(most, input.Ids.Length - start));
            int images = imageToken is int id ? ids.Span.Count(id) : 0;
            Tensor? rows = images == 0 ? null : Rows(images); // [k, C]
            _read += ids.Length;
            _rows += images;
            return new SequenceChunk
            {
                Cache = input.Session.Cache,
                TokenIds = ids,
                ImageRows = rows,
                Pictures = [.. input.Pictures.Where(p => p.Start < _read && p.Start + p.Length > start).Select(p => p with { Start = p.Start - start })],
                Observer = input.Observer,
                SegmentStart = input.ObservedFrom + start,
            };
        }

        private Tensor Rows(int images) => input.ImageRows is Tensor rows && _rows + images <= rows.shape[0]
            ? rows.narrow(0, _rows, images)
            : throw new ArgumentException($"The tokens hold {_rows + images} image tokens or more; there are {input.ImageRows?.shape[0] ?? 0} rows for them.");
    }
}
