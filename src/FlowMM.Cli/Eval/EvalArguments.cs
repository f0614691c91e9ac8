using System.CommandLine;
using System.CommandLine.Parsing;
using FlowMM.Cli.Hosting;
using FlowMM.Model;

namespace FlowMM.Cli.Eval;

/// <summary>The arguments of <c>flowmm eval</c> and what they mean.</summary>
internal sealed class EvalArguments
{
    private const double UsualWithin = 3;

    // What MileBench's own configuration allows an answer.
    private const int UsualAnswerTokens = 512;

    private readonly Option<string?> _model = new("--model") { Description = "Folder of the checkpoint. Default: models/tiny, here or above.", HelpName = "DIR" };
    private readonly Option<string> _weights = WeightOption.Create();
    private readonly Option<string?> _data = new("--data") { Description = "Folder of the evaluation sets. Default: eval in the checkpoint's folder.", HelpName = "DIR" };
    private readonly Option<string?> _sets = new("--sets") { Description = "Sets to run, separated by commas. Default: all.", HelpName = "A,B" };
    private readonly Option<int?> _limit = new("--limit") { Description = "Most conversations of a set.", HelpName = "N" };
    private readonly Option<string?> _methods = new("--methods") { Description = "Merging methods to compare, separated by commas; options after a name: 'flowmm rounds 1'.", HelpName = "A,B" };
    private readonly Option<string?> _budgets = new("--budgets") { Description = "What they may keep: shares of the entries, or numbers of entries from 8 on. Default: 0.05,0.1,0.2,0.35,0.5.", HelpName = "R,N" };
    private readonly Option<int?> _samples = new("--samples") { Description = "Query rows that every method observes, unless it names its own; 0: every row.", HelpName = "N" };
    private readonly Option<string?> _protocols = new("--protocols") { Description = "alone, in-order; with --methods also after. Default: after with methods, the others without.", HelpName = "A,B" };
    private readonly Option<string?> _text = new("--text") { Description = "Instead of sets: perplexity and KL after passages of a text, or of a .json of passages.", HelpName = "FILE" };
    private readonly Option<string?> _needles = new("--needles") { Description = "Instead of sets: a .json of texts with questions; exact answers and KL.", HelpName = "FILE" };
    private readonly Option<bool> _against = new("--against-f32") { Description = "With --text and narrow --weights: read the text token by token, as decoding does, with f32 too, and tell the KL between them." };
    private readonly Option<string?> _mileBench = new("--milebench") { Description = "Instead of sets: a folder in MileBench's layout; its tasks by their own metrics.", HelpName = "DIR" };
    private readonly Option<string?> _tasks = new("--tasks") { Description = "Tasks of MileBench, separated by commas. Default: all.", HelpName = "A,B" };
    private readonly Option<int?> _combine = new("--combine") { Description = "Take MileBench's pictures combined to this many.", HelpName = "N" };
    private readonly Option<int?> _answerTokens = new("--answer-tokens") { Description = $"Most tokens of a MileBench answer. Default: {UsualAnswerTokens}.", HelpName = "N" };
    private readonly Option<string?> _compare = new("--compare") { Description = "File of figures, as reference-merging.json: fail when a cell differs, or flowmm loses a clear lead.", HelpName = "FILE" };
    private readonly Option<double> _within = new("--within") { Description = "Points of accuracy that a cell may differ.", HelpName = "POINTS", DefaultValueFactory = _ => UsualWithin };
    private readonly Option<string?> _json = new("--json") { Description = "File to write the figures to, anew after each set.", HelpName = "FILE" };
    private readonly Option<string?> _html = new("--html") { Description = "File to write one self-contained page to: tables, plots, what was kept of the pictures.", HelpName = "FILE" };
    private readonly Option<string?> _markdown = new("--markdown") { Description = "File to write the tables to, for a document.", HelpName = "FILE" };

    public void AddTo(Command command)
    {
        AtLeast(_limit, 1);
        AtLeast(_samples, 0);
        AtLeast(_combine, 1);
        AtLeast(_answerTokens, 1);
        foreach (Option option in (Option[])[_model, _weights, _data, _sets, _limit, _methods, _budgets, _samples, _protocols, _text, _needles, _against, _mileBench, _tasks, _combine, _answerTokens, _compare, _within, _json, _html, _markdown])
        {
            command.Add(option);
        }
    }

    /// <exception cref="CommandException">A value is wrong; the text names it.</exception>
    public EvalSettings Read(ParseResult parsed)
    {
        string checkpoint = ModelFolder.Find(parsed.GetValue(_model));
        int? samples = parsed.GetValue(_samples);
        EvalSettings settings = new()
        {
            Model = checkpoint,
            Weights = WeightOption.Parse(parsed.GetValue(_weights)!),
            Data = parsed.GetValue(_data) ?? Path.Combine(checkpoint, "eval"),
            Sets = Words(parsed.GetValue(_sets)),
            Limit = parsed.GetValue(_limit),
            Methods = Words(parsed.GetValue(_methods))?.Select(text => MergingVariant.Parse(text, samples)).DistinctBy(v => v.Name).ToList(),
            Budgets = Words(parsed.GetValue(_budgets))?.Select(EvalBudget.Parse).Distinct().ToList() ?? EvalBudget.Usual,
            Protocols = Words(parsed.GetValue(_protocols))?.Select(name => name.Replace('-', ' ')).Distinct().ToList(),
            Text = parsed.GetValue(_text),
            Needles = parsed.GetValue(_needles),
            AgainstF32 = parsed.GetValue(_against),
            MileBench = parsed.GetValue(_mileBench),
            Tasks = Words(parsed.GetValue(_tasks)),
            Combine = parsed.GetValue(_combine),
            AnswerTokens = parsed.GetValue(_answerTokens) ?? UsualAnswerTokens,
            Compare = parsed.GetValue(_compare),
            Within = parsed.GetValue(_within),
            Json = parsed.GetValue(_json),
            Html = parsed.GetValue(_html),
            Markdown = parsed.GetValue(_markdown),
        };
        return Misplaced(parsed, settings) is string wrong ? throw new CommandException(wrong) : settings;
    }

    /// <summary>An option that says nothing beside the others; null when each has its meaning.</summary>
    private string? Misplaced(ParseResult parsed, EvalSettings settings)
    {
        bool text = settings.Text is not null || settings.Needles is not null;
        bool tasks = settings.MileBench is not null;
        bool grid = settings.Methods is { Count: > 0 };
        (Option[] Options, bool Allowed, string Rule)[] rules =
        [
            ([_text, _needles, _mileBench], new[] { settings.Text, settings.Needles, settings.MileBench }.Count(f => f is not null) <= 1, "stands alone: one of --text, --needles, --milebench"),
            ([_data, _sets, _protocols], !text && !tasks, "goes with evaluation sets, not with --text, --needles or --milebench"),
            ([_tasks, _combine, _answerTokens], tasks, "says something only together with --milebench"),
            ([_against], settings.Text is not null && !grid && settings.Weights != WeightType.F32, "says something only together with --text and narrow --weights, without --methods"),
            ([_budgets, _samples], grid, "says something only together with --methods"),
            ([_html, _markdown], grid && !text, "says something only together with --methods, on sets or MileBench"),
            ([_compare, _within], grid && !text && !tasks, "says something only together with --methods, on sets"),
        ];
        return rules.Where(r => !r.Allowed).SelectMany(r => r.Options.Where(o => IsGiven(parsed, o)).Select(o => $"{o.Name} {r.Rule}")).FirstOrDefault();
    }

    private static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private static string[]? Words(string? list) => list?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static void AtLeast(Option<int?> option, int least) => option.Validators.Add((OptionResult parsed) =>
    {
        if (parsed.GetValueOrDefault<int?>() < least)
        {
            parsed.AddError($"{option.Name} must be at least {least}");
        }
    });
}
