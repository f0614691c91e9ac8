using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>
/// What narrower weights cost in accuracy: the same tokens of a text read with them and with f32. A passage is prefilled, and what is scored behind it is
/// read as decoding reads it, token by token, because int8 weights take rounded inputs there.
/// </summary>
internal static class WeightsRun
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1 };

    /// <summary>Runs it, prints figures, writes them as JSON.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="CommandException">The text cannot be read.</exception>
    public static int Run(EvalSettings settings, CancellationToken cancellationToken)
    {
        using IDisposable mode = no_grad();
        using ChatModel wide = Load(settings, WeightType.F32), narrow = Load(settings, settings.Weights);
        ScoredText[] texts = [.. TextSource.Passages(settings.Text!, wide.Tokenizer).Take(settings.Limit ?? int.MaxValue)];
        (TextCell full, TextCell cell, long same, int tokens) = (new(), new(), 0, 0);
        foreach (ScoredText text in texts)
        {
            using DisposeScope scope = NewDisposeScope();
            (Tensor expected, Tensor found) = (Read(wide, text, cancellationToken), Read(narrow, text, cancellationToken)); // [scored, V]
            int[] targets = text.Continuations[0].Ids[^text.Continuations[0].Scored..];
            full.Add(expected, expected, targets);
            cell.Add(expected, found, targets);
            same += expected.argmax(1).eq(found.argmax(1)).sum().item<long>();
            tokens += targets.Length;
        }

        string name = settings.Weights.ToString().ToLowerInvariant();
        double share = (double)same / tokens;
        Print($"{wide.Name}: {tokens} tokens after {texts.Length} passages, as decoding reads them");
        Print($"f32   perplexity {full.Perplexity:F4}");
        Print($"{name,-4}  perplexity {cell.Perplexity:F4}, KL to f32 {cell.Divergence:F6}, same most probable token {share:F4}");
        if (settings.Json is not null)
        {
            File.WriteAllText(settings.Json, new JsonObject
            {
                ["f32"] = new JsonObject { ["perplexity"] = Math.Round(full.Perplexity, 4) },
                [name] = new JsonObject { ["perplexity"] = Math.Round(cell.Perplexity, 4), ["kl"] = Math.Round(cell.Divergence, 6), ["same"] = Math.Round(share, 4) },
            }.ToJsonString(Format) + "\n");
        }

        return 0;
    }

    private static ChatModel Load(EvalSettings settings, WeightType type) =>
        ChatModel.Load(settings.Model, new LoadSettings { Kernels = new KernelOptions { Weights = type } });

    /// <summary>Log-probabilities of what follows the passage, f64 [scored, V], in the scope around.</summary>
    private static Tensor Read(ChatModel model, ScoredText text, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = model.NewCache();
        Continuation continuation = text.Continuations[0];
        List<Tensor> logits = [model.Forward([new() { Cache = cache, TokenIds = text.Ids }])]; // [1, V]
        for (int i = 0; i + 1 < continuation.Ids.Length; i++)
        {
            logits.Add(model.Forward([new() { Cache = cache, TokenIds = continuation.Ids.AsMemory(i, 1) }]));
        }

        Tensor all = cat(logits); // [read, V]
        return nn.functional.log_softmax(all.narrow(0, all.shape[0] - continuation.Scored, continuation.Scored).to(float64), 1).MoveToOuterDisposeScope();
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
