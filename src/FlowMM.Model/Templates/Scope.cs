using System.Text;

namespace FlowMM.Model.Templates;

/// <summary>Variables of a template while it renders. A loop's body has a scope of its own, as in Jinja.</summary>
internal sealed class Scope(Scope? outer, Output output)
{
    private readonly Dictionary<string, object?> _variables = [];

    public Output Output { get; } = output;

    public object? Get(string name) =>
        _variables.TryGetValue(name, out object? found) ? found : outer is null ? Undefined.Value : outer.Get(name);

    public void Set(string name, object? value) => _variables[name] = value;
}

/// <summary>What was rendered so far, and how much work went into it: templates come with checkpoints and are not trusted.</summary>
internal sealed class Output
{
    private const int MaxCharacters = 64 << 20;
    private const int MaxSteps = 1_000_000;

    /// <summary>Characters and items that count as much as one step.</summary>
    private const int CharactersAStep = 1024;
    private const int ItemsAStep = 8;
    private readonly StringBuilder _text = new();
    private readonly Output? _counter;
    private int _steps;

    public Output(Output? counter = null) => _counter = counter;

    public void Write(string text)
    {
        if (_text.Length + text.Length > MaxCharacters)
        {
            throw new TemplateException($"The chat template writes more than {MaxCharacters} characters.");
        }

        _text.Append(text);
    }

    /// <summary>Counts the size of a value that was made or read: a single step must not be a million.</summary>
    public void Weigh(object? value)
    {
        int steps = value switch
        {
            string text => text.Length / CharactersAStep,
            List<object?> list => list.Count / ItemsAStep,
            _ => 0,
        };
        if (steps > 0)
        {
            Step(steps);
        }
    }

    public void Step(int steps = 1)
    {
        _counter?.Step(steps);
        _steps += steps;
        if (_steps > MaxSteps)
        {
            throw new TemplateException($"The chat template takes more than {MaxSteps} steps.");
        }
    }

    public override string ToString() => _text.ToString();
}
