using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>
/// What narrower weights cost in accuracy: the same tokens of a text read with each, against f32. A passage is prefilled, and what is scored behind it is
/// read as decoding reads it, token by token, because int8 weights take rounded inputs there.
/// </summary>
internal static class WeightsRun
{
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, IndentSize = 1 };

    /// <summary>Runs it, prints a table, writes it as JSON.</summary>
    /// <returns>The exit code.</returns>
    /// <exception cref="CommandException">The text cannot be read.</exception>
    public static int Run(EvalSettings settings, IReadOnlyList<WeightType> weights, CancellationToken cancellationToken)
    {
        using IDisposable mode = no_grad();
        using ChatModel wide = Load(settings, WeightType.F32);
        ScoredText[] texts = [.. TextSource.Passages(settings.Text!, wide.Tokenizer).Take(settings.Limit ?? int.MaxValue)];
        Tensor[] expected = [.. texts.Select(t => Read(wide, t, cancellationToken))];
        TextCell full = new();
        Count(full, expected, expected, texts);
        int tokens = texts.Sum(t => t.Continuations.Sum(c => c.Scored));
        Print($"{wide.Name}: {tokens} tokens after {texts.Length} passages; perplexity, KL to f32, share of tokens with the same most probable one");
        Print($"f32   {full.Perplexity:F4}  {0.0:F5}  {1.0:F4}");
        JsonObject figures = new() { ["f32"] = new JsonObject { ["perplexity"] = Math.Round(full.Perplexity, 4) } };
        foreach (WeightType type in weights)
        {
            using ChatModel narrow = Load(settings, type);
            Tensor[] found = [.. texts.Select(t => Read(narrow, t, cancellationToken))];
            TextCell cell = new();
            Count(cell, expected, found, texts);
            double same = Same(expected, found) / tokens;
            string name = type.ToString().ToLowerInvariant();
            Print($"{name,-4}  {cell.Perplexity:F4}  {cell.Divergence:F5}  {same:F4}");
            figures[name] = new JsonObject { ["perplexity"] = Math.Round(cell.Perplexity, 4), ["kl"] = Math.Round(cell.Divergence, 6), ["same"] = Math.Round(same, 4) };
            Array.ForEach(found, f => f.Dispose());
        }

        Array.ForEach(expected, e => e.Dispose());
        if (settings.Json is not null)
        {
            File.WriteAllText(settings.Json, figures.ToJsonString(Format) + "\n");
        }

        return 0;
    }

    private static ChatModel Load(EvalSettings settings, WeightType type) =>
        ChatModel.Load(settings.Model, new LoadSettings { Kernels = new KernelOptions { Weights = type } });

    /// <summary>Log-probabilities of what follows the passage, f64 [scored, V]; the caller disposes them.</summary>
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
        return nn.functional.log_softmax(all.narrow(0, all.shape[0] - continuation.Scored, continuation.Scored).to(float64), 1).DetachFromDisposeScope();
    }

    private static void Count(TextCell cell, Tensor[] expected, Tensor[] found, ScoredText[] texts)
    {
        for (int i = 0; i < texts.Length; i++)
        {
            Continuation continuation = texts[i].Continuations[0];
            cell.Add(expected[i], found[i], continuation.Ids[^continuation.Scored..]);
        }
    }

    private static double Same(Tensor[] expected, Tensor[] found)
    {
        using DisposeScope scope = NewDisposeScope();
        return expected.Zip(found).Sum(p => p.First.argmax(1).eq(p.Second.argmax(1)).sum().item<long>());
    }

    private static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));
}
